"""No test reaches the network. Those marked ``loopback`` reach this machine, and nothing else.

On the host the cut is at the socket, in Pyodide at the page's ``fetch``, ``XMLHttpRequest`` and
``WebSocket``. A refused attempt raises ``NetworkIsCut``, which no code under test takes for an
ordinary failure of a connection.
"""

import ipaddress
import socket
from collections.abc import Generator
from typing import Any

import pytest

from meerkat_mob._target import IN_BROWSER


class NetworkIsCut(BaseException):  # not an Exception: no ``except`` of the code may hide it
    """A test tried to leave the place it is allowed in."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"the network is cut in tests: {place}; "
            "use a scripted model, or mark the test `loopback` if it serves itself on 127.0.0.1"
        )


class Gate:
    """Whether the running test may speak to loopback. One per session, closed by default."""

    open_to_loopback = False


def is_loopback(host: str) -> bool:
    """Whether ``host`` is a name or an address of this very machine."""
    name = host.strip("[]").removesuffix(".")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check(host: str) -> None:
    """Refuse ``host`` unless it is loopback and the gate is open."""
    if not (Gate.open_to_loopback and is_loopback(host)):
        raise NetworkIsCut(host)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Open the gate for a test that is marked, from its set-up to its tear-down."""
    Gate.open_to_loopback = item.get_closest_marker("loopback") is not None
    try:
        return (yield)
    finally:
        Gate.open_to_loopback = False


def pytest_configure() -> None:
    """Cut before the first test module is imported."""
    if IN_BROWSER:
        _cut_the_page()
    else:
        _cut_the_sockets()


def _cut_the_sockets() -> None:
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
    resolve = socket.getaddrinfo

    def guarded_resolve(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in (None, "", b"") and not is_loopback(_text(host)):
            raise NetworkIsCut(_text(host))
        return resolve(host, *args, **kwargs)

    socket.getaddrinfo = guarded_resolve


def _guarded(method: Any) -> Any:
    def guarded(self: socket.socket, *args: Any) -> Any:
        address = args[-1]
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            check(_text(address[0]))
        return method(self, *args)

    return guarded


def _text(host: Any) -> str:
    return host.decode() if isinstance(host, bytes) else str(host)


def _cut_the_page() -> None:
    """Replace the ways out of a page before anything of ours has taken a reference to them."""
    from pyodide.code import run_js
    from pyodide.ffi import create_proxy

    def may_pass(host: str) -> bool:
        return Gate.open_to_loopback and is_loopback(host)

    run_js(PAGE_CUT)(create_proxy(may_pass))


PAGE_CUT = """
(mayPass) => {
  const refuse = (url) => {
    const { hostname } = new URL(url, globalThis.location?.href ?? "http://nowhere.invalid/");
    if (!mayPass(hostname)) {
      throw new Error(`the network is cut in tests: ${hostname}; mark the test \\`loopback\\``);
    }
  };
  const { fetch, XMLHttpRequest, WebSocket } = globalThis;
  globalThis.fetch = async (resource, options) => {
    refuse(resource instanceof Request ? resource.url : String(resource));
    return fetch(resource, options);
  };
  if (XMLHttpRequest) {
    const open = XMLHttpRequest.prototype.open;
    XMLHttpRequest.prototype.open = function (method, url, ...rest) {
      refuse(String(url));
      return open.call(this, method, url, ...rest);
    };
  }
  if (WebSocket) {
    globalThis.WebSocket = class extends WebSocket {
      constructor(url, ...rest) {
        refuse(String(url));
        super(url, ...rest);
      }
    };
  }
}
"""
