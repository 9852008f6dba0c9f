"""What went wrong with a model server, told so that its user can mend it: no I/O in here.

Status codes follow spec sessions CLI-3: retryable are rate limits, overload, server errors,
time-outs and reset connections, and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from meerkat_mob.core.jsonvalue import Json
from meerkat_mob.errors import LlmFailed, LlmUnreachable
from meerkat_mob.llm.proxied import decode_fault

_TOLD: Final = 300
"""Characters of a server's own words that an error repeats."""

_TOO_LONG: Final = re.compile(
    r"context_length_exceeded|exceed_context_size|maximum context length|exceeds? .*context (size|"
    r"length|limit|window)|prompt is too long|input token count .*exceeds",
    re.IGNORECASE,
)
_MAY_PASS: Final = ("overloaded", "server_error", "api_error", "timeout_error", "slow_down")
"""Words of errors inside a stream that are worth another try."""
_RETRY_DELAY: Final = re.compile(r'"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"')
"""Gemini's hint stands in the body."""
_HTML: Final = re.compile(r"\s*<(!doctype|html|head|body)\b", re.IGNORECASE)
_BLANKS: Final = re.compile(r"\s+")


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Whom we speak to: the endpoint's URL, how to be let in, and the words for its errors.

    ``key_variables`` are the environment variables its key is read from. ``in_page`` says that the
    browser's ``fetch`` does the speaking. ``speaks`` names its dialect, ``endpoint`` is how its
    URLs end.
    """

    url: str
    provider: str
    key: str | None = None
    key_variables: tuple[str, ...] = ()
    in_page: bool = False
    speaks: str = "chat completions"
    endpoint: str = "/chat/completions"

    def __repr__(self) -> str:
        return f"Server({self.url!r}, key={'set' if self.key else 'none'})"


def status_failure(
    server: Server, status: int, *, body: str = "", retry_after: str | None = None
) -> LlmFailed:
    """An answer with an error status, the model server's own or one of a proxy before it."""
    if fault := decode_fault(body):
        return LlmFailed(
            provider=server.provider,
            reason=fault.row.reason,
            detail=f"{server.url} answered {status}: {fault.detail}",
            hint=fault.hint,
            retryable=fault.row.retryable,
            status=status,
        )
    said = words_of(body)
    detail = f"{server.url} answered {status}" + (f": {said}" if said else "")
    hint = _hint(server, status, body)
    if 300 <= status < 400 or _HTML.match(body):
        kept = "a web page" if _HTML.match(body) else "a redirect"
        return LlmUnreachable(
            url=server.url,
            detail=f"answered {status} with {kept}, not as a model server",
            hint=hint,
            retryable=status >= 500,
        )
    return LlmFailed(
        provider=server.provider,
        reason=_reason(status, body),
        detail=detail,
        hint=hint,
        retryable=status == 429 or status >= 500,
        retry_after_ms=retry_after_ms(retry_after or _delay_in(body)),
        status=status,
    )


def _reason(status: int, body: str) -> str:
    if _TOO_LONG.search(body):
        return "context_exceeded"
    named = {401: "auth_error", 403: "auth_error", 404: "invalid_model", 429: "rate_limited"}
    return named.get(status, "provider_error")


def _hint(server: Server, status: int, body: str) -> str:
    variables = " or ".join(server.key_variables) or "its key"
    match status:
        case 401 | 403 if server.key is None:
            return f"it wants a key: set {variables}"
        case 401:
            return f"it does not know the key: check {variables}"
        case 403:
            return f"the key may not do this: check {variables}, and what its account may use"
        case 404:
            return (
                "it has no such model, or no such path: check the model's name (--model) and that "
                f"the base URL is the one that ends where {server.endpoint} begins"
            )
        case 429:
            return "wait, or ask for a higher limit"
        case 503:
            return "it is overloaded or still loading the model: wait, then ask again"
        case _ if _TOO_LONG.search(body):
            return "shorten the conversation, or use a model with a larger context"
        case _ if status >= 500:
            return "look into the server's log, then ask again"
        case _ if status < 400:
            return "give the address it points to as the base URL"
        case _:
            return "it does not take this request: check the model's name and provider_params"


def _delay_in(body: str) -> str | None:
    found = _RETRY_DELAY.search(body)
    return found[1] if found else None


def retry_after_ms(value: str | None) -> int | None:
    """The server's hint in ms: seconds, with a fraction if it likes. Anything else is no hint."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return math.ceil(seconds * 1000) if 0 <= seconds < math.inf else None


def reported(server: Server, error: Json) -> LlmFailed:
    """An error that the server reports inside its answer, instead of by a status."""
    body = msgspec.json.encode({"error": error}).decode()
    status = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(status, int) and 400 <= status < 600:
        return status_failure(server, status, body=body)
    limited = "rate_limit" in body
    reason = "rate_limited" if limited else _reason(0, body)
    return LlmFailed(
        provider=server.provider,
        reason=reason,
        detail=f"{server.url} broke off: {words_of(body)}",
        hint=_hint(server, 429 if limited else 400, body),
        retryable=limited or any(word in body for word in _MAY_PASS),
    )


def words_of(body: str) -> str:
    """What the body of an error says, in one line: the message inside JSON, else its text."""
    try:
        value: Json = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return _cut(body)
    if isinstance(value, list) and value:
        value = value[0]
    while isinstance(value, Mapping):
        value = next((value[k] for k in ("error", "message", "detail") if value.get(k)), None)
    return _cut(value if isinstance(value, str) else body)


def _cut(text: str) -> str:
    line = _BLANKS.sub(" ", text).strip()
    return line if len(line) <= _TOLD else f"{line[: _TOLD - 3]}..."


Obstacle: TypeAlias = Literal["mixed", "cors", "silent", "unknown"]
"""What stands between a page and a server: that it is http and the page https; that it does not let
the page in; that nobody is there; or who knows what."""
OBSTACLE: Final = "obstacle"
"""Where a page's transport leaves it, in the extensions of a request."""

_LET_IT_IN: Final = (
    "allow this page's origin on it: for Ollama OLLAMA_ORIGINS, for vLLM --allowed-origins, in LM "
    "Studio the CORS switch, for meerkat-mob proxy --origin"
)
_OUT_OF_REACH: Final[Mapping[Obstacle, tuple[str, str]]] = {
    "mixed": (
        "this page came over https, and the browser lets it speak to no http server",
        "give the server https, or open the page over http",
    ),
    "cors": ("somebody is there, and does not let this page in (CORS)", _LET_IT_IN),
    "silent": (
        "nothing answers there",
        "start the server, or check the base URL (--base-url): the host, the port, http or https",
    ),
    "unknown": (
        "nothing answers there, or it does not let this page in (CORS)",
        f"start it, and {_LET_IT_IN}",
    ),
}


def not_answering(server: Server, why: str, obstacle: Obstacle | None = None) -> LlmFailed:
    """No connection came about; None for the obstacle is a host, where nothing else can be."""
    detail, hint = _OUT_OF_REACH[obstacle or "silent"]
    return LlmUnreachable(
        url=server.url, detail=f"{detail} ({_cut(why)})", hint=hint, retryable=False
    )


def not_usable(server: Server, why: str) -> LlmFailed:
    """The way out that the environment names (a proxy, certificates) cannot be taken."""
    return LlmUnreachable(
        url=server.url,
        detail=f"no connection can be set up ({_cut(why)})",
        hint="check HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE",
        retryable=False,
    )


def timed_out(server: Server, what: str, seconds: float) -> LlmFailed:
    """A limit of time was reached (CLI-4)."""
    return LlmFailed(
        provider=server.provider,
        reason="network_timeout",
        detail=f"{server.url} did not {what} within {seconds:g} s",
        hint="wait until it has less to do, or use a smaller model",
        retryable=True,
    )


def broken_off(server: Server, why: str) -> LlmFailed:
    """The connection broke after it had come about."""
    return LlmUnreachable(
        url=server.url,
        detail=f"the connection broke before the answer was complete ({_cut(why)})",
        hint="look into the server's log, then ask again",
        retryable=True,
    )


def not_a_model_server(server: Server, content_type: str, body: str) -> LlmFailed:
    """A good status, and then neither an event stream nor a completion."""
    kind = "a web page" if _HTML.match(body) else content_type or "something without a type"
    return LlmUnreachable(
        url=server.url,
        detail=f"answered with {kind}, not as a model server: {words_of(body) or 'nothing'}",
        hint=f"check --base-url: it must be a server that speaks {server.speaks}",
        retryable=False,
    )


def unreadable(server: Server, data: str) -> LlmFailed:
    """A piece of the stream that means nothing in the server's dialect."""
    return LlmFailed(
        provider=server.provider,
        reason="provider_error",
        detail=f"{server.url} sent what cannot be read: {_cut(data)}",
        hint=f"check that it speaks {server.speaks}; look into its log",
    )
