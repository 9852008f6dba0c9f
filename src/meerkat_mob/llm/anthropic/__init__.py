"""Anthropic's Messages, as bytes to send and events to read: no I/O in here."""

from meerkat_mob.llm.anthropic.events import MessageDecoder
from meerkat_mob.llm.anthropic.form import unsupported
from meerkat_mob.llm.anthropic.request import request_body, request_headers, unsaid

__all__ = ("MessageDecoder", "request_body", "request_headers", "unsaid", "unsupported")
