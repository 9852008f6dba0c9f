"""What is shown of a session: one form for those that live and those that are only stored."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from meerkat_mob.core.messages import Message
from meerkat_mob.core.transcript import Transcript
from meerkat_mob.core.usage import Usage
from meerkat_mob.sessions.fold import SessionHead
from meerkat_mob.sessions.form import insist_on_labels


class SessionInfo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The state of a session as of its last finished run; times in ms UTC."""

    session_id: str
    created_at: int
    updated_at: int
    message_count: int
    is_active: bool
    model: str
    provider: str
    last_assistant_text: str | None
    labels: Mapping[str, str]


class SessionUsage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a session has consumed."""

    total_tokens: int
    usage: Usage


class SessionView(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session read."""

    state: SessionInfo
    billing: SessionUsage


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session listed."""

    session_id: str
    created_at: int
    updated_at: int
    message_count: int
    total_tokens: int
    is_active: bool
    labels: Mapping[str, str]


class SessionQuery(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which sessions to list. Labels must all match; then offset, then limit."""

    limit: int | None = None
    offset: int = 0
    labels: Mapping[str, str] = {}


class SessionHistory(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A page of committed messages, oldest first; ``offset`` is cut to the count."""

    session_id: str
    message_count: int
    offset: int
    limit: int | None
    has_more: bool
    messages: tuple[Message, ...]


def checked(query: SessionQuery) -> SessionQuery:
    """The query with offset and limit from 0. Raises ``InvalidParams`` for what is no label."""
    insist_on_labels(query.labels)
    limit = None if query.limit is None else max(query.limit, 0)
    return SessionQuery(limit=limit, offset=max(query.offset, 0), labels=query.labels)


def view_of(session_id: str, head: SessionHead, *, at: int, is_active: bool) -> SessionView:
    """A session as its head tells it; ``at`` is when it was updated."""
    return SessionView(
        state=SessionInfo(
            session_id=session_id,
            created_at=head.created_at,
            updated_at=at,
            message_count=head.message_count,
            is_active=is_active,
            model=head.model,
            provider=head.answered_by,
            last_assistant_text=head.last_assistant_text,
            labels=head.labels,
        ),
        billing=SessionUsage(total_tokens=head.usage.total, usage=head.usage),
    )


def summary_of(session_id: str, head: SessionHead, *, at: int, is_active: bool) -> SessionSummary:
    """The same in a line."""
    return SessionSummary(
        session_id=session_id,
        created_at=head.created_at,
        updated_at=at,
        message_count=head.message_count,
        total_tokens=head.usage.total,
        is_active=is_active,
        labels=head.labels,
    )


def page_of(session_id: str, said: Transcript, offset: int, limit: int | None) -> SessionHistory:
    """A page of what was said."""
    count = len(said)
    start = min(max(offset, 0), count)
    messages = said.slice(start, limit)
    return SessionHistory(
        session_id=session_id,
        message_count=count,
        offset=start,
        limit=limit,
        has_more=start + len(messages) < count,
        messages=messages,
    )
