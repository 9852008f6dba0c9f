"""The cut at the socket: nothing leaves this machine, and loopback only by permission."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.network import NetworkIsCut, is_loopback

ELSEWHERE = "192.0.2.1"  # set aside for documentation; nobody's machine


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server


def test_a_connection_to_elsewhere_is_refused_before_it_starts() -> None:
    with closing(socket.socket()) as client, pytest.raises(NetworkIsCut, match=ELSEWHERE):
        client.connect((ELSEWHERE, 80))


def test_a_datagram_to_elsewhere_is_refused() -> None:
    with (
        closing(socket.socket(type=socket.SOCK_DGRAM)) as client,
        pytest.raises(NetworkIsCut, match=ELSEWHERE),
    ):
        client.sendto(b"anyone?", (ELSEWHERE, 53))


def test_a_name_is_not_even_looked_up() -> None:
    with pytest.raises(NetworkIsCut, match=r"example\.invalid"):
        socket.getaddrinfo("example.invalid", 443)


def test_loopback_is_refused_to_a_test_that_does_not_ask_for_it(listener: socket.socket) -> None:
    with closing(socket.socket()) as client, pytest.raises(NetworkIsCut):
        client.connect(listener.getsockname())


@pytest.mark.loopback
def test_loopback_is_open_to_a_test_that_asks_for_it(listener: socket.socket) -> None:
    with closing(socket.create_connection(listener.getsockname())) as client:
        assert client.getpeername() == listener.getsockname()


@pytest.mark.loopback
def test_asking_for_loopback_opens_nothing_else() -> None:
    with closing(socket.socket()) as client, pytest.raises(NetworkIsCut):
        client.connect((ELSEWHERE, 80))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_what_counts_as_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "127.0.0.1.example", "0.0.0.0", "10.0.0.1"])
def test_what_does_not_count_as_loopback(host: str) -> None:
    assert not is_loopback(host)
