"""Google's Gemini, as bytes to send and events to read: no I/O in here."""

from meerkat_mob.llm.gemini.events import ContentDecoder
from meerkat_mob.llm.gemini.request import request_body, unsaid

__all__ = ("ContentDecoder", "request_body", "unsaid")
