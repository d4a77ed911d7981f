"""Defines what packages implement whose metrics `aioq worker --health-port` serves at `/metrics`.

A package names an `ExporterProvider` as an entry point in the group `aioq.exporters`. aioq calls it with the app of the
worker, and asks the exporter that it returns whenever `/metrics` is requested. With `--processes` it is called in each
worker process, and any one of these answers for all. For that their exporters share a folder, if the provider is a
`SharingProvider`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from aioq.app import Aarq
from aioq.conformance import lacking
from aioq.discovery import EXPORTERS, load, provider_of
from aioq.errors import DiscoveryError

__all__ = ["Exporter", "ExporterProvider", "SharingProvider", "exporter_of", "installed_provider"]


class Exporter(Protocol):
    """Writes the metrics of an app as text, in a process that runs a worker of the app."""

    @property
    def content_type(self) -> str:
        """The value of the header `Content-Type` of what `render` returns."""
        ...

    async def render(self) -> bytes:
        """Return the metrics.

        It is called in the event loop of the worker, also while the app is not connected yet, while the broker is away,
        and several times at once. The request fails after 10 seconds: leave out what a broker that is away cannot
        answer, and return the rest.
        """
        ...


class ExporterProvider(Protocol):
    """What an entry point in the group `aioq.exporters` names, for example a function."""

    def __call__(self, app: Aarq, /) -> Exporter:
        """Return an exporter of an app that will run in this process.

        It is called once in a process, after the module of the app was imported and before the worker starts.
        """
        ...


@runtime_checkable
class SharingProvider(ExporterProvider, Protocol):
    """A provider whose exporters in several processes collect their values in one folder.

    The supervisor of `--processes` calls these methods. Its process never imports the app.
    """

    def share(self, folder: Path, /) -> Mapping[str, str]:
        """Prepare an empty folder, and return environment variables for all worker processes.

        It is called once, before the first process starts. The exporter of each process finds the folder by these
        variables. The supervisor removes it when all processes have ended.
        """
        ...

    def forget(self, folder: Path, pid: int, /) -> None:
        """Remove from the folder what no longer holds after the worker process `pid` has ended.

        Counts of the process stay. It is called in the event loop of the supervisor, so it must not take long.
        """
        ...


def installed_provider() -> ExporterProvider | None:
    """Return the provider that an installed package names; None if none does.

    Raises:
        DiscoveryError: It cannot be imported, or is no function, or there are several.
    """
    names = sorted({point.name for point in entry_points(group=EXPORTERS)})
    if len(names) > 1:
        raise DiscoveryError(f"several exporters of metrics are installed: {', '.join(names)}; uninstall all but one")
    point = provider_of(EXPORTERS, names[0], f"the exporter {names[0]}") if names else None
    if point is None:
        return None
    provider: object = load(point)
    if not callable(provider):
        raise DiscoveryError(f"{point.value} is no function that returns an exporter of an app")
    return cast("ExporterProvider", provider)


def exporter_of(app: Aarq, provider: ExporterProvider) -> Exporter:
    """Return the exporter of an app.

    Raises:
        DiscoveryError: The provider raises, or returns something else.
    """
    try:
        # It is code of another package, which may raise anything.
        exporter = provider(app)
    except Exception as error:
        raise DiscoveryError(
            f"the installed exporter of metrics cannot be used with app {app.name}: {error}"
        ) from error
    if lacks := lacking(exporter, Exporter):
        raise DiscoveryError(
            f"the entry point in the group {EXPORTERS} makes no exporter but {type(exporter).__qualname__}: "
            f"aioq.exporters.Exporter has {', '.join(lacks)}, too"
        )
    return exporter
