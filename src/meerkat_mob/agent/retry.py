"""When and how long to wait before a failed model call is made again (RTY-1 to RTY-3)."""

from __future__ import annotations

from typing import Final

import msgspec

from meerkat_mob.errors import LlmFailed

RATE_LIMIT_FLOOR_MS: Final = 30_000


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Retries after the first attempt, and their delays in ms.

    No jitter: the delays of one process spread by themselves, and two runs stay alike.
    """

    max_retries: int = 3
    initial_ms: int = 500
    cap_ms: int = 30_000

    def delay_ms(self, retry: int, error: LlmFailed) -> int | None:
        """The wait before retry number ``retry`` (from 1); None when there must be none."""
        if not error.retryable or retry > self.max_retries:
            return None
        computed = min(self.initial_ms << (retry - 1), self.cap_ms)
        if error.retry_after_ms is not None:
            return max(computed, error.retry_after_ms)
        return max(computed, RATE_LIMIT_FLOOR_MS) if error.reason == "rate_limited" else computed
