"""Finds brokers and schedulers by the entry points of installed packages."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from aioq.conformance import lacking
from aioq.cron.scheduler import Scheduler
from aioq.errors import DiscoveryError
from aioq.protocols import Broker

__all__ = [
    "BROKERS",
    "EXPORTERS",
    "SCHEDULERS",
    "broker_from_url",
    "chosen_broker",
    "load",
    "provider_of",
    "scheduler_named",
]

BROKERS: Final = "aioq.brokers"
SCHEDULERS: Final = "aioq.schedulers"
EXPORTERS: Final = "aioq.exporters"

# The core names one broker package here, because the hint is needed while the package is missing.
_INSTALL: Final = {
    scheme + more: "aioq-redis"
    for scheme in ("redis", "rediss", "valkey", "valkeys")
    for more in ("", "+cluster", "+sentinel")
} | {"unix": "aioq-redis"}


def chosen_broker(broker: object, settings: Mapping[str, Any]) -> Broker:
    """Return the broker of an app, from an object or a URL; None uses AIOQ_BROKER_URL, or else `memory://`.

    Args:
        broker: A broker, a URL, or None.
        settings: Keyword arguments for the broker that a URL stands for.

    Raises:
        DiscoveryError: As in `broker_from_url`.
        TypeError: `broker` is neither a URL nor a broker, or has settings of its own, or has no such setting.
    """
    if broker is None:
        broker = os.environ.get("AIOQ_BROKER_URL") or "memory://"
    if isinstance(broker, str):
        return broker_from_url(broker, settings)
    if isinstance(broker, type) or not isinstance(broker, Broker):
        lacks = "a class in place of one" if isinstance(broker, type) else f"without {_missing(broker, Broker)}"
        # Not its repr: it may be an object of another library for URLs, or bytes, with a password.
        kind = broker.__qualname__ if isinstance(broker, type) else type(broker).__qualname__
        raise TypeError(
            f"broker must be a URL or an object with the methods of aioq.protocols.Broker, got {kind}: {lacks}"
        )
    if settings:
        given = " and ".join(settings)
        raise TypeError(f"{given} is for a broker given by its URL; pass it to {type(broker).__qualname__}(...)")
    return broker


def broker_from_url(url: str, settings: Mapping[str, Any] | None = None) -> Broker:
    """Return the broker that an installed package provides for the URL's scheme.

    Args:
        url: The URL.
        settings: Keyword arguments for the broker.

    Raises:
        DiscoveryError: No package provides one, or several do, or the provided object is not a broker.
        TypeError: The broker has no such setting; the message lists those that it has.
    """
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if not found:
        raise DiscoveryError(
            "a broker's URL starts with a scheme and ://, for example redis://localhost:6379; percent-encode special "
            "characters in user name and password"
        )
    scheme = found[1].lower()
    if (point := provider_of(BROKERS, scheme, f"a broker for {scheme}://")) is None:
        hint = f"; run: pip install {_INSTALL[scheme]}" if scheme in _INSTALL else ""
        raise DiscoveryError(
            f"no installed package provides a broker for {scheme}:// (installed: {_known(BROKERS)}){hint}"
        )
    make = load(point)
    if callable(make) and settings:
        _check_settings(make, settings, scheme)
    broker = make(url, **settings or {}) if callable(make) else None
    if not isinstance(broker, Broker):
        raise DiscoveryError(
            f"{point.value} of {_owner(point)} does not make a broker: "
            f"aioq.protocols.Broker has {_missing(broker, Broker)}, too"
        )
    return broker


def _check_settings(make: Callable[..., object], settings: Mapping[str, Any], scheme: str) -> None:
    """Reject settings that are no parameters of a broker, before it gets them.

    Raises:
        TypeError: There are such settings.
    """
    parameters = list(inspect.signature(make).parameters.values())[1:]  # the first is the URL
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    known = {one.name for one in parameters if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD)}
    if unknown := sorted(settings.keys() - known):
        has = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise TypeError(f"the broker for {scheme}:// has no setting {', '.join(unknown)}; {has}")


def scheduler_named(name: str) -> Scheduler:
    """Return the scheduler that an installed package provides under a name.

    Raises:
        DiscoveryError: No package provides one, or several do, or the provided object is not a scheduler.
    """
    if (point := provider_of(SCHEDULERS, name, f"the scheduler {name!r}")) is None:
        if name == "cron":
            raise DiscoveryError('cron expressions need the aioq-cron distribution; run: pip install "aioq[cron]"')
        raise DiscoveryError(f"no installed package provides the scheduler {name!r} (installed: {_known(SCHEDULERS)})")
    make = load(point)
    scheduler = make() if callable(make) else None
    if not isinstance(scheduler, Scheduler):
        raise DiscoveryError(
            f"{point.value} of {_owner(point)} does not make a scheduler: "
            f"aioq.protocols.Scheduler has {_missing(scheduler, Scheduler)}, too"
        )
    return scheduler


def provider_of(group: str, name: str, what: str) -> EntryPoint | None:
    """Return the only entry point of a name in a group; None if there is none.

    Args:
        group: The group of entry points.
        name: The name of the entry point.
        what: What it provides, for the error.

    Raises:
        DiscoveryError: Several packages have one.
    """
    # One distribution can be on the path twice: an editable install and a wheel.
    providers = {(_owner(point), point.value): point for point in entry_points(group=group, name=name)}
    if len(providers) > 1:
        owners = " and ".join(sorted(f"{owner} ({value})" for owner, value in providers))
        raise DiscoveryError(f"several installed packages provide {what}: {owners}; uninstall all but one")
    return next(iter(providers.values()), None)


def _missing(thing: object, protocol: type) -> str:
    return ", ".join(lacking(thing, protocol))


def load(point: EntryPoint) -> Any:
    """Import and return the object that an entry point names.

    Raises:
        DiscoveryError: It cannot be imported.
    """
    try:
        # It runs code of the package, which may raise anything.
        return point.load()
    except Exception as error:
        raise DiscoveryError(f"{_owner(point)} names {point.value}, which cannot be imported: {error}") from error


def _known(group: str) -> str:
    return ", ".join(sorted(_names(entry_points(group=group)))) or "none"


def _names(points: Iterable[EntryPoint]) -> set[str]:
    return {point.name for point in points}


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unnamed distribution"
