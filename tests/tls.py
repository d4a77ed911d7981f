"""TLS in front of a server of the tests, because the servers that pip installs have no TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import trustme
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

from tests.servers import RedisServer

__all__ = ["TlsFront", "tls_front"]


@dataclass(frozen=True, slots=True)
class TlsFront:
    """A TLS port on localhost, with a certificate that `authority` has signed."""

    port: int
    authority: Path
    """The certificate of the authority, as PEM. Clients do not know it by default."""

    @property
    def url(self) -> str:
        """Return the URL for a broker that trusts the authority."""
        return f"rediss://localhost:{self.port}?ssl_ca_certs={self.authority}"


@asynccontextmanager
async def tls_front(server: RedisServer, folder: Path) -> AsyncGenerator[TlsFront]:
    """Offer a server of the tests over TLS, while the block runs."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    plain = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def forward(client: ByteStream) -> None:
        async with client, await anyio.connect_unix(server.socket) as behind, anyio.create_task_group() as pumps:
            for source, target in ((client, behind), (behind, client)):
                pumps.start_soon(_pump, source, target, pumps.cancel_scope)

    async with plain, anyio.create_task_group() as serving:
        serving.start_soon(TLSListener(plain, context, standard_compatible=False).serve, forward)
        yield TlsFront(plain.extra(SocketAttribute.local_port), folder / "authority.pem")
        serving.cancel_scope.cancel()


async def _pump(source: ByteReceiveStream, target: ByteSendStream, both: anyio.CancelScope) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        async for chunk in source:
            await target.send(chunk)
    both.cancel()  # when one side closes its connection, close the other too
