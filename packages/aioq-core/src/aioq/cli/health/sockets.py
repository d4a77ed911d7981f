"""Opens the sockets on which health is served, before the worker claims its first job."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

from aioq.cli.exit_codes import CommandError, Exit

__all__ = ["listen", "listen_at", "place_of"]

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - probes come from other machines
"""All addresses of this machine."""

NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""Errors of a system, or of a container, without IPv6."""


def listen(host: str | None, port: int) -> list[socket.socket]:
    """Return sockets that listen on a port of this machine, at least one.

    Args:
        host: An address, or a name for some; all addresses of this machine, of IPv4 and IPv6, when None.
        port: The port; 0 for any that is free, the same at all addresses.

    Raises:
        CommandError: The port is in use or not permitted, or the host has no address here.
    """
    sockets: list[socket.socket] = []
    try:
        if host is None:
            return [_listen_everywhere(port)]
        for family, address in _addresses(host):
            # The first address chooses the port.
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets.append(socket.create_server((address, chosen), family=family))
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise CommandError(f"worker: {_why(error, host, port)}", Exit.CONFIG) from error
    return sockets


def listen_at(path: Path) -> socket.socket:
    """Return a socket that listens at a path, instead of one that a process has left there."""
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(str(path))
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


def place_of(sock: socket.socket) -> str:
    """Return where a socket listens, for the log: its URL, or its port if it listens at all addresses."""
    host, port = sock.getsockname()[:2]
    if host in EVERYWHERE:
        return f"port {port} of all addresses of this machine"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listen_everywhere(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server((EVERYWHERE[1], port), family=socket.AF_INET6, dualstack_ipv6=True)
        except OSError as error:
            if error.errno not in NO_IPV6:
                raise
    return socket.create_server((EVERYWHERE[0], port))


def _addresses(host: str) -> Iterator[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name may have the same address twice.
    yield from dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found)


def _why(error: OSError, host: str | None, port: int) -> str:
    where = f"port {port}" if host is None else f"{host}, port {port}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where} is in use by another program; choose another --health-port, or 0 for any that is free"
        case errno.EACCES:
            return f"{where} is reserved for the administrator; choose a --health-port from 1024 on"
        case _:
            return f"cannot listen on {where}: {error.strerror or error}; check --health-host"
