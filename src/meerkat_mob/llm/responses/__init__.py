"""OpenAI's Responses, as bytes to send and events to read: no I/O in here."""

from meerkat_mob.llm.responses.events import ResponseDecoder
from meerkat_mob.llm.responses.request import request_body, unsaid
from meerkat_mob.llm.responses.strict_form import Unsupported, unsupported

__all__ = ("ResponseDecoder", "Unsupported", "request_body", "unsaid", "unsupported")
