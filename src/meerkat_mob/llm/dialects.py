"""The dialects there are. What they say and hear is loaded when a client is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meerkat_mob.llm.dialect import Dialect, DialectName, Translation
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


def _chat_translation() -> Translation:
    from meerkat_mob.llm import chat

    return Translation(chat.request_body, chat.ChunkDecoder)


def _responses_translation() -> Translation:
    from meerkat_mob.llm import responses

    return Translation(responses.request_body, responses.ResponseDecoder, unsaid=responses.unsaid)


def _anthropic_translation() -> Translation:
    from meerkat_mob.llm import anthropic

    return Translation(
        anthropic.request_body,
        anthropic.MessageDecoder,
        headers=anthropic.request_headers,
        unsaid=anthropic.unsaid,
    )


def _gemini_translation() -> Translation:
    from meerkat_mob.llm import gemini

    return Translation(gemini.request_body, gemini.ContentDecoder, unsaid=gemini.unsaid)


_ALL: Final = (
    Dialect(
        name="chat",
        speaks="chat completions",
        endpoint="/chat/completions",
        listing="/models",
        version="/v1",
        headers=_bearer,
        translation=_chat_translation,
    ),
    Dialect(
        name="responses",
        speaks="OpenAI's Responses",
        endpoint="/responses",
        listing="/models",
        version="/v1",
        headers=_bearer,
        translation=_responses_translation,
    ),
    Dialect(
        name="anthropic",
        speaks="Anthropic's Messages",
        endpoint="/v1/messages",
        listing="/v1/models?limit=1000",
        headers=_anthropic,
        translation=_anthropic_translation,
    ),
    Dialect(
        name="gemini",
        speaks="Gemini's generateContent",
        endpoint="/v1beta/models/{model}:streamGenerateContent?alt=sse",
        listing="/v1beta/models?pageSize=1000",
        headers=_gemini,
        translation=_gemini_translation,
    ),
)
DIALECTS: Final[Mapping[DialectName, Dialect]] = {dialect.name: dialect for dialect in _ALL}
