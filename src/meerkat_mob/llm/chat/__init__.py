"""OpenAI's chat completions, as bytes to send and events to read: no I/O in here."""

from meerkat_mob.llm.chat.events import ChunkDecoder
from meerkat_mob.llm.chat.request import request_body

__all__ = ("ChunkDecoder", "request_body")
