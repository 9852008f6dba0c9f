"""A hook that is a server: told by a request, heard by its answer (HK-7).

Nothing is imported from httpx2 until one is made, and a connection lives as long as a call. On the
host only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.util import find_spec
from typing import Final, Literal, TypeAlias, Unpack

from meerkat_mob import _target
from meerkat_mob.core.hook_wire import decode_reply, encode_call
from meerkat_mob.core.hooks import (
    PAYLOAD_MAX_BYTES,
    Hook,
    HookAnswer,
    HookCall,
    HookOptions,
    HookPoint,
)
from meerkat_mob.errors import CapabilityUnavailable, HookExecutionFailed, InvalidParams
from meerkat_mob.llm.base_url import is_loopback

Method: TypeAlias = Literal["POST", "PUT", "PATCH"]
MOST_TOLD: Final = 2000
"""Characters of a bad answer that an error tells."""

_PLAIN: Final = {
    "accept": "application/json",
    "accept-encoding": "identity",  # so that what we read is as long as it says
    "content-type": "application/json",
    "user-agent": "meerkat-mob",
}


def http_hook(
    *,
    id: str,  # noqa: A002 (as in Hook)
    point: HookPoint,
    url: str,
    method: Method = "POST",
    headers: Mapping[str, str] | None = None,
    payload_max_bytes: int = PAYLOAD_MAX_BYTES,
    **options: Unpack[HookOptions],
) -> Hook:
    """A hook that sends each call to ``url``. ``options`` as in ``Hook``.

    The server gets a ``HookCall`` and answers with a ``HookReply``, each as JSON of at most
    ``payload_max_bytes``, and a status of 200 to 299. It is not followed elsewhere. Proxies are
    those of the environment, except for this machine.

    Raises ``CapabilityUnavailable`` in a browser and without httpx2, ``InvalidParams`` for what is
    no http URL.
    """
    send = _sender(id, url, method, {**_PLAIN, **(headers or {})})
    capability = options.get("capability", "observe")

    async def run(call: HookCall) -> HookAnswer:
        raw = await send(encode_call(call, limit=payload_max_bytes), payload_max_bytes)
        return decode_reply(raw, capability)

    return Hook(id=id, point=point, run=run, **options)


Send: TypeAlias = Callable[[bytes, int], Awaitable[bytes]]


def _sender(hook_id: str, url: str, method: Method, headers: Mapping[str, str]) -> Send:
    """What sends a body and gives back that of the answer, of at most so many bytes."""
    _insist_on_http()
    import httpx2  # noqa: PLC0415 (an extra, so not before it is needed)

    from meerkat_mob.llm.transport import told  # noqa: PLC0415 (imports it too)

    try:
        target = httpx2.URL(url)
        if target.scheme not in {"http", "https"} or not target.host:
            raise httpx2.InvalidURL("it must begin with http:// or https:// and a host")
    except httpx2.InvalidURL as fault:
        raise InvalidParams(
            what=f"{url!r} is no URL to send to: {fault}",
            path=f"hooks.{hook_id}.url",
            hint="an example is http://localhost:8080/hook",
        ) from None
    what = f"the server {target.host}"

    async def send(body: bytes, limit: int) -> bytes:
        try:
            async with (
                httpx2.AsyncClient(
                    timeout=None,  # the hook has a limit of its own
                    trust_env=not is_loopback(target.host),  # whence come proxies
                ) as client,
                client.stream(method, target, content=body, headers=headers) as response,
            ):
                status, answer = response.status_code, bytearray()
                async for chunk in response.aiter_raw():
                    answer += chunk
                    if len(answer) > limit:
                        break
        except (httpx2.HTTPError, ValueError) as fault:
            raise HookExecutionFailed(what=what, why=f"was not heard: {told(fault)}") from fault
        if not 200 <= status < 300:
            words = answer[:MOST_TOLD].decode(errors="replace").strip()
            how = f"answered {status}"
            raise HookExecutionFailed(what=what, why=f"{how}: {words}" if words else how)
        if len(answer) > limit:
            raise HookExecutionFailed(what=what, why=f"answered more than {limit} bytes")
        return bytes(answer)

    return send


def _insist_on_http() -> None:
    """Raises ``CapabilityUnavailable`` where no request can be sent."""
    why, instead = "", ""
    if _target.IN_BROWSER:
        why, instead = "hooks reach servers from the host only", "give a function that uses fetch"
    elif find_spec("httpx2") is None:
        why, instead = "httpx2 is not installed", "pip install meerkat-mob[http] adds it"
    if why:
        raise CapabilityUnavailable(capability="a hook that is a server", why=why, instead=instead)
