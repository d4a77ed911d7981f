"""The sockets for health: addresses, ports in use, and what the errors say."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.health import sockets
from aioq.cli.health.sockets import listen, listen_at, place_of

Opened = list[socket.socket]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Collect sockets, and close them at the end."""
    found: Opened = []
    yield found
    for sock in found:
        sock.close()


def port_of(sock: socket.socket) -> int:
    """Return the port of a socket."""
    port: int = sock.getsockname()[1]
    return port


def reaches(host: str, port: int) -> bool:
    """Return whether a port can be reached at an address."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def needs_ipv6() -> None:
    """Skip a test on a machine without IPv6."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_listen_everywhere_by_default(opened: Opened) -> None:
    """Without a host it listens at all addresses, of IPv4 and IPv6."""
    needs_ipv6()
    opened += listen(None, 0)
    port = port_of(opened[0])
    assert (reaches("127.0.0.1", port), reaches("::1", port)) == (True, True)
    assert place_of(opened[0]) == f"port {port} of all addresses of this machine"


@pytest.mark.parametrize("has", [True, False])
def test_listen_everywhere_without_ipv6(monkeypatch: pytest.MonkeyPatch, opened: Opened, has: bool) -> None:
    """On a machine, or in a container, without IPv6 it listens at all addresses of IPv4."""
    whole = socket.create_server

    def create_server(address: tuple[str, int], **options: object) -> socket.socket:
        if address[0] == "::":
            raise OSError(sockets.NO_IPV6[0], "Address family not supported by protocol")
        return whole(address, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: has)
    monkeypatch.setattr(socket, "create_server", create_server)
    opened += listen(None, 0)
    assert reaches("127.0.0.1", port_of(opened[0]))
    assert place_of(opened[0]) == f"port {port_of(opened[0])} of all addresses of this machine"


@pytest.mark.parametrize(("host", "start"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:")])
def test_listen_at_one_address(opened: Opened, host: str, start: str) -> None:
    """It listens at the given address alone."""
    if host == "::1":
        needs_ipv6()
    opened += listen(host, 0)
    assert [place_of(sock) for sock in opened] == [f"{start}{port_of(opened[0])}"]


def test_listen_at_all_addresses_of_a_name(monkeypatch: pytest.MonkeyPatch, opened: Opened) -> None:
    """A name with an address of each kind gets the same port at both, also if any is chosen."""
    needs_ipv6()
    found = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    opened += listen("here", 0)
    monkeypatch.undo()
    ports = {port_of(sock) for sock in opened}
    assert len(opened) == 2
    (port,) = ports
    assert (reaches("127.0.0.1", port), reaches("::1", port)) == (True, True)


@pytest.mark.parametrize("host", [None, "127.0.0.1"])
def test_port_in_use_is_an_error(opened: Opened, host: str | None) -> None:
    """The error names the port, and says what to choose."""
    opened += listen(host, 0)
    port = port_of(opened[0])
    where = f"port {port}" if host is None else f"{host}, port {port}"
    text = f"worker: {where} is in use by another program; choose another --health-port, or 0 for any that is free"
    assert error_of(host, port) == (text, Exit.CONFIG)


def error_of(host: str | None, port: int) -> tuple[str, Exit]:
    """Return the error of listening."""
    with pytest.raises(CommandError) as caught:
        listen(host, port)
    return str(caught.value), caught.value.code


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("no-such-host.invalid", ["cannot listen on no-such-host.invalid, port 8080: ", "; check --health-host"]),
        ("192.0.2.1", ["cannot listen on 192.0.2.1, port 8080: ", "; check --health-host"]),
    ],
)
def test_host_of_another_machine_is_an_error(host: str, words: Sequence[str]) -> None:
    """The error names the host and the reason of the system."""
    text, code = error_of(host, 8080)
    assert [word for word in words if word not in text] == []
    assert code is Exit.CONFIG


def test_reserved_port_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says from which port on it is permitted."""

    def create_server(*_: object, **__: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket, "create_server", create_server)
    assert error_of("127.0.0.1", 80)[0] == (
        "worker: 127.0.0.1, port 80 is reserved for the administrator; choose a --health-port from 1024 on"
    )


def test_listen_at_path_replaces_what_was_left(tmp_path: Path, opened: Opened) -> None:
    """A process that was killed leaves its socket, and the next one listens at the same path."""
    path = tmp_path / "1.sock"
    listen_at(path).close()
    assert path.exists()
    opened.append(listen_at(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
