"""Serves health during the run of a worker or of a supervisor."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from aioq.cli.health.endpoints import Endpoints
from aioq.cli.health.one_worker import OneWorker
from aioq.cli.health.processes import ProcessFolder, WorkerProcesses
from aioq.cli.health.server import serving
from aioq.cli.health.sockets import listen_at, place_of
from aioq.cli.supervisor import Supervisor
from aioq.exporters import exporter_of, installed_provider
from aioq.worker import Worker

__all__ = ["run_supervisor", "serve_process", "serve_worker"]

logger = logging.getLogger("aioq.health")

MakeSupervisor = Callable[[Callable[[int], Path], Mapping[str, str], Callable[[int], None]], Supervisor]
"""Makes a supervisor. It gets the function from the number of a process to the path at which that is to listen, the
environment variables of all processes, and what to call with the id of each process that has ended."""


@asynccontextmanager
async def serve_worker(worker: Worker, sockets: Sequence[socket.socket]) -> AsyncGenerator[None]:
    """Answer for a worker of this process during the block.

    Raises:
        DiscoveryError: The installed exporter of metrics cannot be used.
    """
    provider = installed_provider()
    exporter = exporter_of(worker.app, provider) if provider else None
    async with serving(sockets, Endpoints(OneWorker(worker, exporter)).answer):
        _log(sockets)
        yield


@asynccontextmanager
async def serve_process(worker: Worker, path: Path) -> AsyncGenerator[None]:
    """Answer the supervisor of this process during the block, on a socket at a path."""
    provider = installed_provider()
    exporter = exporter_of(worker.app, provider) if provider else None
    async with serving([listen_at(path)], Endpoints(OneWorker(worker, exporter)).answer):
        yield


async def run_supervisor(make: MakeSupervisor, sockets: Sequence[socket.socket]) -> int:
    """Run a supervisor, and answer for its worker processes meanwhile.

    Raises:
        DiscoveryError: The installed exporter of metrics cannot be used.
    """
    provider = installed_provider()
    folder = ProcessFolder(provider)
    with folder.removed():
        supervisor = make(folder.socket_of, folder.environment, folder.forget)
        source = WorkerProcesses(folder, supervisor.children, provider)
        async with serving(sockets, Endpoints(source).answer):
            _log(sockets)
            return await supervisor.run()


def _log(sockets: Sequence[socket.socket]) -> None:
    logger.info(
        "health is served at %s: /live, /ready and /metrics",
        " and ".join(map(place_of, sockets)),
        extra={"event": "health_served"},
    )
