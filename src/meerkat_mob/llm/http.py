"""A client for every model server: what is said is its dialect's, how it is sent is ours.

It holds connections and no conversation. Nothing is imported from httpx2 until one is made.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final
from urllib.parse import quote

import msgspec

from meerkat_mob import _target
from meerkat_mob.core.messages import AssistantMessage
from meerkat_mob.core.safe_json import refuse_deep
from meerkat_mob.errors import CapabilityUnavailable, InvalidParams, LlmFailed
from meerkat_mob.llm.base_url import endpoint_of
from meerkat_mob.llm.client import LlmDone, LlmEvent, LlmRequest, LlmUsage
from meerkat_mob.llm.dialect import Decoder, DialectName, Paused
from meerkat_mob.llm.dialects import DIALECTS
from meerkat_mob.llm.failures import Server, not_a_model_server, unreadable
from meerkat_mob.llm.listing import beside, names_in
from meerkat_mob.llm.spelling import respelt, truly
from meerkat_mob.llm.sse import SseDecoder, SseEvent

PARTS: Final = 20
"""How often a server may be asked for one answer; what it has not said then, it never says."""
WHOLE_ANSWER: Final = 16 * 2**20
"""Bytes we take of an answer that was not streamed although we asked for it."""


class HttpLlm:
    """One server. ``base_url`` may end at the host, in a version or at the endpoint itself.

    Without ``api_key`` none is sent. ``key_variables`` are named where a key is missing. Raises
    ``InvalidParams`` for what is no base URL or key, and ``CapabilityUnavailable`` when httpx2 is
    not installed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        dialect: DialectName = "chat",
        api_key: str | None = None,
        provider: str = "self_hosted",
        key_variables: tuple[str, ...] = (),
        connect_s: float | None = None,
        request_s: float | None = None,
    ) -> None:
        self._dialect = spoken = DIALECTS[dialect]
        self._translation = spoken.translation()
        self._provider = provider
        self._server = Server(
            url=endpoint_of(base_url, endpoint=spoken.endpoint, version=spoken.version),
            provider=provider,
            key=key_as_given(api_key),
            key_variables=key_variables,
            in_page=_target.IN_BROWSER,
            speaks=spoken.speaks,
            endpoint=spoken.endpoint.partition("?")[0],
        )
        try:
            # not before it is needed: this package works offline without httpx2
            from meerkat_mob.llm.transport import CONNECT_S, REQUEST_S, HttpTransport  # noqa: PLC0415
        except ModuleNotFoundError as absent:
            raise CapabilityUnavailable(
                capability="HTTP",
                why=f"the module {absent.name} is not installed",
                instead='micropip.install("httpx2") adds it'
                if _target.IN_BROWSER
                else "pip install meerkat-mob[http] adds it",
            ) from absent
        self._transport = HttpTransport(
            self._server,
            headers=spoken.headers(self._server),
            connect_s=connect_s or CONNECT_S,
            request_s=request_s or REQUEST_S,
        )

    @property
    def provider(self) -> str:
        """See ``LlmClient.provider``."""
        return self._provider

    async def stream(self, request: LlmRequest) -> AsyncGenerator[LlmEvent, None]:
        """See ``LlmClient.stream``.

        A server that pauses in the middle of an answer is asked to go on with it, and what all its
        parts consumed is counted together.
        """
        names, spent, usage = respelt(request.tools), None, None
        try:
            unsaid = self._unsaid(request)
            for _ in range(PARTS):
                paused: Paused | None = None
                async with aclosing(self._events(request)) as events:
                    async for event in events:
                        if isinstance(event, Paused):
                            paused = event
                        elif isinstance(event, LlmUsage):
                            usage = event.usage if spent is None else spent + event.usage
                            yield LlmUsage(usage=usage)
                        else:
                            yield _told(truly(event, names) if names else event, unsaid)
                if paused is None:
                    return
                request, spent = _behind(request, paused), usage
            yield LlmDone(stop_reason="max_tokens")
        except LlmFailed as error:
            yield LlmDone(error=error)

    def _unsaid(self, request: LlmRequest) -> tuple[str, ...]:
        """What of the form of the answer is lost on the server.

        Raises ``LlmFailed`` when that is anything, and the form's ``compat`` is strict.
        """
        if request.output is None:
            return ()
        lost = tuple(self._translation.unsaid(request))
        if lost and request.output.compat == "strict":
            raise LlmFailed(
                provider=self._provider,
                reason="provider_error",
                detail=f"the form of the answer cannot say {', '.join(lost)}",
                hint="leave it out of the schema, or set its compat to lossy",
            )
        return lost

    async def models(self) -> tuple[str, ...]:
        """The names of the models that the server says it has, sorted. Raises ``LlmFailed``."""
        told = self._dialect
        url = beside(self._server.url, endpoint=told.endpoint, listing=told.listing)
        server = msgspec.structs.replace(self._server, url=url)
        async with self._transport.ask(server, None) as reply:
            body = await reply.text(WHOLE_ANSWER)
            try:
                return names_in(body)
            except ValueError:
                raise not_a_model_server(server, reply.content_type, body) from None

    async def _events(self, request: LlmRequest) -> AsyncGenerator[LlmEvent | Paused, None]:
        server = self._asked_for(request.model)
        decoder = self._translation.decoder(server, salt=str(len(request.messages)))
        body, headers = self._translation.body(request), self._translation.headers(request)
        async with self._transport.ask(server, body, headers) as reply:
            if reply.content_type != "text/event-stream":
                told = await reply.text(WHOLE_ANSWER)
                for event in self._whole(decoder, reply.content_type, told):
                    yield event
                return
            sse = SseDecoder()
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    for event in self._decoded(decoder, sse, chunk):
                        yield event
                    if decoder.ended:
                        break
            if decoder.ended:
                await reply.drain()
            else:
                for event in self._decoded(decoder, sse, None):
                    yield event
        for event in decoder.finish():
            yield event

    def _asked_for(self, model: str) -> Server:
        """The server, as it is asked for a model."""
        if "{model}" not in self._server.url:
            return self._server
        url = self._server.url.replace("{model}", quote(model.removeprefix("models/"), safe=""))
        return msgspec.structs.replace(self._server, url=url)

    def _decoded(
        self, decoder: Decoder, sse: SseDecoder, chunk: bytes | None
    ) -> Iterator[LlmEvent]:
        """The events inside a chunk; None is the end of the stream."""
        try:
            found: list[SseEvent] = sse.finish() if chunk is None else sse.feed(chunk)
        except ValueError as fault:
            raise unreadable(self._server, str(fault)) from fault
        for event in found:
            if not decoder.ended:
                yield from self._fed(decoder, event.data)

    def _whole(self, decoder: Decoder, kind: str, body: str) -> Iterator[LlmEvent | Paused]:
        """A server that does not stream, or that is none."""
        if kind != "application/json":
            raise not_a_model_server(self._server, kind, body)
        yield from self._fed(decoder, body)
        if not decoder.answered:
            raise not_a_model_server(self._server, kind, body)
        yield from decoder.finish()

    def _fed(self, decoder: Decoder, data: str) -> Iterator[LlmEvent]:
        try:
            refuse_deep(data)
        except ValueError:
            raise unreadable(self._server, data) from None
        yield from decoder.feed(data)

    async def aclose(self) -> None:
        """See ``LlmClient.aclose``."""
        await self._transport.aclose()


def _told(event: LlmEvent, unsaid: tuple[str, ...]) -> LlmEvent:
    """The end says what of the form was lost."""
    if unsaid and isinstance(event, LlmDone):
        return msgspec.structs.replace(event, unsaid=unsaid)
    return event


def _behind(request: LlmRequest, paused: Paused) -> LlmRequest:
    """The request with which the server goes on behind what it has said."""
    begun = AssistantMessage(blocks=paused.blocks, stop_reason="tool_use")
    return msgspec.structs.replace(
        request,
        messages=(*request.messages, begun),
        provider_params={**request.provider_params, **paused.params},
    )


def key_as_given(given: str | None, *, path: str = "api_key") -> str | None:
    """The key without the blanks that files and shells add; an empty one is none.

    Raises ``InvalidParams`` at ``path`` for what no header can carry.
    """
    key = (given or "").strip()
    if not (key.isascii() and key.isprintable()):
        raise InvalidParams(
            what="the API key holds characters that no key has",
            path=path,
            hint="copy it anew, on one line",
        )
    return key or None
