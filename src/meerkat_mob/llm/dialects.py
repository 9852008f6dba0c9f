"""The dialects there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meerkat_mob.llm import anthropic, chat, gemini, responses
from meerkat_mob.llm.dialect import Dialect, DialectName
from meerkat_mob.llm.failures import Server


def _bearer(server: Server) -> Mapping[str, str]:
    return {} if server.key is None else {"authorization": f"Bearer {server.key}"}


def _anthropic(server: Server) -> Mapping[str, str]:
    headers = {"anthropic-version": "2023-06-01"}
    if server.key is not None:
        headers["x-api-key"] = server.key
    if server.in_page:  # without it the server lets no page in
        headers["anthropic-dangerous-direct-browser-access"] = "true"
    return headers


def _gemini(server: Server) -> Mapping[str, str]:
    return {} if server.key is None else {"x-goog-api-key": server.key}


_ALL: Final = (
    Dialect(
        name="chat",
        speaks="chat completions",
        endpoint="/chat/completions",
        listing="/models",
        version="/v1",
        headers=_bearer,
        body=chat.request_body,
        decoder=chat.ChunkDecoder,
    ),
    Dialect(
        name="responses",
        speaks="OpenAI's Responses",
        endpoint="/responses",
        listing="/models",
        version="/v1",
        headers=_bearer,
        body=responses.request_body,
        decoder=responses.ResponseDecoder,
    ),
    Dialect(
        name="anthropic",
        speaks="Anthropic's Messages",
        endpoint="/v1/messages",
        listing="/v1/models?limit=1000",
        headers=_anthropic,
        body=anthropic.request_body,
        decoder=anthropic.MessageDecoder,
    ),
    Dialect(
        name="gemini",
        speaks="Gemini's generateContent",
        endpoint="/v1beta/models/{model}:streamGenerateContent?alt=sse",
        listing="/v1beta/models?pageSize=1000",
        headers=_gemini,
        body=gemini.request_body,
        decoder=gemini.ContentDecoder,
    ),
)
DIALECTS: Final[Mapping[DialectName, Dialect]] = {dialect.name: dialect for dialect in _ALL}
