"""Compares a broker with the protocols, and says which of them it supports.

`python -m aioq.conformance MODULE:CLASS` prints each deviation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from inspect import Parameter, Signature
from typing import Any, Final, TypeGuard, TypeVar

from aioq.errors import BrokerConfigError
from aioq.protocols import (
    PROTOCOL_VERSION,
    Broker,
    ChangeLog,
    Diagnosable,
    Failures,
    JobStore,
    Migratable,
    QueueControl,
    Restricted,
    Schedules,
    Signals,
    Statistics,
    ThreadedLeases,
    TickLedger,
    WorkerRegistry,
)

__all__ = [
    "OPTIONAL",
    "check_broker",
    "deviations",
    "lacking",
    "members",
    "supports",
    "unsupported",
    "why_unsupported",
]

P = TypeVar("P")

OPTIONAL: Final[tuple[type, ...]] = (
    JobStore,
    Failures,
    Signals,
    WorkerRegistry,
    ThreadedLeases,
    TickLedger,
    Schedules,
    QueueControl,
    ChangeLog,
    Statistics,
    Diagnosable,
    Migratable,
    Restricted,
)
"""The protocols that a broker may implement in addition to `Broker`."""

PROTOCOLS: Final[tuple[type, ...]] = (Broker, *OPTIONAL)

SHOWN = 3
"""Deviations that the error of `check_broker` names."""


def supports(broker: object, protocol: Callable[..., P]) -> TypeGuard[P]:
    """Return whether a broker implements an optional protocol on the store to which it is connected.

    Before `connect` the answer is whether it has the methods.
    """
    # Not `isinstance`, which takes 20 times as long on Python 3.11.
    return not lacking(broker, protocol) and protocol not in unsupported(broker)


def unsupported(broker: object) -> Mapping[object, str]:
    """Return the protocols that a broker cannot implement on the connected store, each with the reason."""
    ask: Callable[[], Mapping[object, str]] | None = getattr(broker, "unsupported", None)
    return ask() if ask is not None else {}


def why_unsupported(broker: object, protocol: object) -> str:
    """Return why a broker that has the methods of a protocol does not support it; empty if there is no reason."""
    return unsupported(broker).get(protocol, "")


@cache
def members(protocol: object) -> tuple[str, ...]:
    """Return the names of a protocol's methods and attributes, in the order of their definition."""
    return tuple(name for name in vars(protocol) if not name.startswith("_"))


def lacking(thing: object, protocol: object) -> list[str]:
    """Return the names of the protocol's methods and attributes that an object lacks."""
    return [name for name in members(protocol) if getattr(thing, name, None) is None]


def check_broker(broker: object) -> None:
    """Check that a broker conforms to the protocols, before it is connected.

    Raises:
        BrokerConfigError: It implements another version, has only some methods of a protocol, or has other
            signatures.
    """
    if mismatch := _version_mismatch(broker):
        raise BrokerConfigError(mismatch)
    if found := deviations(broker):
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise BrokerConfigError(
            f"{_named(broker)} does not conform to aioq.protocols: {'; '.join(found[:SHOWN])}{more}; upgrade it, or "
            f"report this to its authors"
        )


def deviations(broker: object) -> list[str]:
    """Return what a broker, or its class, lacks or does otherwise than the protocols say; one line for each."""
    mismatch = _version_mismatch(broker)
    return [*([mismatch] if mismatch else []), *_missing(broker), *_wrong_signatures(broker)]


def _version_mismatch(broker: object) -> str:
    stated = getattr(broker, "protocol_version", None)
    if stated == PROTOCOL_VERSION:
        return ""
    if not isinstance(stated, int):
        return (
            f"{_named(broker)} does not state which version of aioq.protocols it implements: its class must set "
            f"protocol_version = {PROTOCOL_VERSION} if it implements this one"
        )
    older = f"upgrade {_distribution(broker) or 'its package'}"
    newer = "upgrade aioq-core"
    return (
        f"{_named(broker)} implements version {stated} of aioq.protocols, and aioq-core {version('aioq-core')} uses "
        f"version {PROTOCOL_VERSION}: {older if stated < PROTOCOL_VERSION else newer}"
    )


def _missing(broker: object) -> Iterator[str]:
    if missing := [name for name in lacking(broker, Broker) if name != "protocol_version"]:
        yield f"Broker lacks {', '.join(missing)}"
    for protocol in OPTIONAL:
        missing = lacking(broker, protocol)
        # Without any of its methods a broker leaves the protocol out; with some of them it means to have it.
        if 0 < len(missing) < len(members(protocol)):
            yield f"{protocol.__name__} lacks {', '.join(missing)}"


def _wrong_signatures(broker: object) -> Iterator[str]:
    for protocol in PROTOCOLS:
        for name, declared in vars(protocol).items():
            method = None if name.startswith("_") or not inspect.isfunction(declared) else getattr(broker, name, None)
            if method is None:
                continue
            expected, actual = _without_self(Signature.from_callable(declared)), _signature(broker, name, method)
            if actual is not None and (not _accepts(actual, expected) or _awaited_otherwise(method, declared)):
                yield (
                    f"{protocol.__name__}.{name} is {_text(name, actual, method)}, and must be "
                    f"{_text(name, expected, declared)}"
                )


def _signature(broker: object, name: str, method: Callable[..., Any]) -> Signature | None:
    try:
        found = Signature.from_callable(method)
    except (TypeError, ValueError):  # of what is written in C, nothing may be known
        return None
    return (
        _without_self(found)
        if isinstance(broker, type) and inspect.isfunction(inspect.getattr_static(broker, name))
        else found
    )


def _without_self(signature: Signature) -> Signature:
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _accepts(actual: Signature, expected: Signature) -> bool:
    """Return whether a method can be called in every way that the protocol allows."""
    required = [one for one in expected.parameters.values() if one.default is Parameter.empty]
    every = list(expected.parameters.values())
    calls = [_call(required), _call(every), ((), dict.fromkeys(expected.parameters))]
    for args, kwargs in calls:
        try:
            actual.bind(*args, **kwargs)
        except TypeError:
            return False
    return True


def _call(parameters: Sequence[Parameter]) -> tuple[tuple[None, ...], dict[str, None]]:
    """Return the arguments of a call that passes these parameters, by position if it may."""
    named = dict.fromkeys(one.name for one in parameters if one.kind is Parameter.KEYWORD_ONLY)
    return (None,) * (len(parameters) - len(named)), named


def _awaited_otherwise(method: object, declared: object) -> bool:
    """Return whether a method is a coroutine function and must not be, or cannot be awaited and must be."""
    if inspect.iscoroutinefunction(declared):
        return inspect.isasyncgenfunction(method)
    return inspect.iscoroutinefunction(method)


def _text(name: str, signature: Signature, method: object) -> str:
    bare = [one.replace(annotation=Parameter.empty) for one in signature.parameters.values()]
    text = f"{name}{signature.replace(parameters=bare, return_annotation=Signature.empty)}"
    return f"async {text}" if inspect.iscoroutinefunction(method) else text


def _named(broker: object) -> str:
    kind = broker if isinstance(broker, type) else type(broker)
    distribution = _distribution(broker)
    return f"{kind.__name__} of {distribution} {version(distribution)}" if distribution else kind.__name__


def _distribution(broker: object) -> str:
    """Return the name of the distribution that contains a broker's class; empty if there is none."""
    kind = broker if isinstance(broker, type) else type(broker)
    try:
        return packages_distributions()[kind.__module__.partition(".")[0]][0]
    except (KeyError, PackageNotFoundError):
        return ""
