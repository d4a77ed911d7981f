"""How a URL scheme or a scheduler's name leads to a package."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace
from typing import Any

import pytest

from aioq import Aarq, BrokerConfigError, DiscoveryError, discovery
from aioq.backends import MemoryBroker
from aioq.discovery import broker_from_url, scheduler_named
from tests.core.plain_scheduler import PlainScheduler

HERE = "tests.core.test_discovery"
Install = Callable[..., None]


def make_memory(_: str) -> MemoryBroker:
    """What a broker's entry point names: called with the URL."""
    return MemoryBroker()


def misconfigured(_: str) -> MemoryBroker:
    """A broker that does not like its URL."""
    raise BrokerConfigError("no such database")


def make_nothing(*_: str) -> object:
    """What an entry point should not name."""
    return object()


class Unfinished(MemoryBroker):
    """A broker that lacks something."""

    reap = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


NUMBER = 5


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretend that just these entry points are installed: `(distribution, group, name, value)`."""

    def install(*points: tuple[str, str, str, str]) -> None:
        made: list[EntryPoint] = []
        for distribution, group, name, value in points:
            point = EntryPoint(name, value, group)
            vars(point).update(dist=SimpleNamespace(name=distribution))
            made.append(point)

        def entry_points(**chosen: Any) -> EntryPoints:
            return EntryPoints(made).select(**chosen)

        monkeypatch.setattr(discovery, "entry_points", entry_points)

    return install


def test_broker_from_url_uses_scheme(install: Install) -> None:
    """The entry point of the scheme is called with the URL, whatever the case of the scheme."""
    install(("aioq-mine", "aioq.brokers", "mine", f"{HERE}:make_memory"))
    assert isinstance(broker_from_url("mine://host"), MemoryBroker)
    assert isinstance(broker_from_url("MINE://host"), MemoryBroker)


def test_broker_from_url_unknown_scheme_lists_known(install: Install) -> None:
    """The error names the unknown scheme and the installed ones."""
    install(("a", "aioq.brokers", "memory", "x:y"), ("b", "aioq.brokers", "sqlite", "x:y"))
    with pytest.raises(DiscoveryError) as caught:
        broker_from_url("kafka://host")
    assert str(caught.value) == "no installed package provides a broker for kafka:// (installed: memory, sqlite)"


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "valkey", "valkeys"])
def test_broker_from_url_missing_package_is_named(install: Install, scheme: str) -> None:
    """For a known scheme the error says what to install, without the secrets of the URL."""
    install()
    with pytest.raises(DiscoveryError) as caught:
        Aarq(f"{scheme}://user:secret@host")
    assert str(caught.value).endswith(f"{scheme}:// (installed: none); run: pip install aioq-redis")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["localhost:6379", "redis:/host", "", "://x", "1redis://x"])
def test_broker_from_url_without_scheme_is_rejected(url: str) -> None:
    """A URL must begin with a scheme and ://."""
    with pytest.raises(DiscoveryError, match="starts with a scheme and ://, for example redis://localhost:6379"):
        broker_from_url(url)


def test_broker_from_url_two_packages_are_named(install: Install) -> None:
    """If two packages provide a scheme, the error names both."""
    install(("one", "aioq.brokers", "mine", "one.x:A"), ("two", "aioq.brokers", "mine", "two.y:B"))
    with pytest.raises(DiscoveryError) as caught:
        broker_from_url("mine://")
    assert str(caught.value) == (
        "several installed packages provide a broker for mine://: one (one.x:A) and two (two.y:B); "
        "uninstall all but one"
    )


def test_broker_from_url_package_found_twice_is_one(install: Install) -> None:
    """An editable install beside a wheel is no conflict."""
    install(*[("one", "aioq.brokers", "mine", f"{HERE}:make_memory")] * 2)
    assert isinstance(broker_from_url("mine://"), MemoryBroker)


@pytest.mark.parametrize("value", [f"{HERE}:make_nothing", f"{HERE}:NUMBER", HERE])
def test_broker_from_url_invalid_entry_point_is_named(install: Install, value: str) -> None:
    """If an entry point does not return a broker, the error names its package."""
    install(("bad", "aioq.brokers", "mine", value))
    lacks = "protocol_version, connect, close, time, enqueue, claim, extend, settle, reap"
    with pytest.raises(
        DiscoveryError, match=rf"^{value} of bad does not make a broker: aioq.protocols.Broker has {lacks}, too$"
    ):
        broker_from_url("mine://")


def test_broker_from_url_missing_methods_are_named(install: Install) -> None:
    """The error lists the methods that the broker lacks."""
    install(("new", "aioq.brokers", "memory", f"{HERE}:Unfinished"))
    with pytest.raises(DiscoveryError, match=r"does not make a broker: aioq\.protocols\.Broker has reap, too$"):
        broker_from_url("memory://")
    with pytest.raises(TypeError, match=r"got Unfinished: without reap$"):
        Aarq(Unfinished())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("value", ["no.such.module:X", f"{HERE}:missing"])
def test_broker_from_url_import_error_names_package(install: Install, value: str) -> None:
    """The error contains the import error and the package that caused it."""
    install(("bad", "aioq.brokers", "mine", value))
    with pytest.raises(DiscoveryError, match=rf"^bad names {value}, which cannot be imported: ") as caught:
        broker_from_url("mine://")
    assert caught.value.__cause__ is not None


def test_broker_from_url_config_error_propagates(install: Install) -> None:
    """An error that the broker raises about its URL propagates unchanged."""
    install(("mine", "aioq.brokers", "mine", f"{HERE}:misconfigured"))
    with pytest.raises(BrokerConfigError, match="^no such database$"):
        broker_from_url("mine://")


def test_cron_without_aioq_cron_says_what_to_install(install: Install) -> None:
    """Without aioq-cron `app.cron` raises at once and says what to install."""
    install(("aioq-core", "aioq.brokers", "memory", f"{HERE}:make_memory"))
    app = Aarq("memory://")
    with pytest.raises(DiscoveryError) as caught:
        app.cron("*/5 * * * *")
    hint = 'cron expressions need the aioq-cron distribution; run: pip install "aioq[cron]"'
    assert str(caught.value) == f'@app.cron("*/5 * * * *"): {hint}'


def test_scheduler_named_is_created_once(install: Install) -> None:
    """An app may name another scheduler; it is created once."""
    install(("mine", "aioq.schedulers", "plain", "tests.core.plain_scheduler:PlainScheduler"))
    app = Aarq(MemoryBroker(), scheduler="plain")
    assert isinstance(app.scheduler, PlainScheduler)
    assert app.scheduler is app.scheduler


def test_scheduler_named_unknown_lists_known(install: Install) -> None:
    """The error names the unknown scheduler and the installed ones."""
    install(("aioq-cron", "aioq.schedulers", "cron", "x:y"))
    with pytest.raises(DiscoveryError) as caught:
        scheduler_named("sun")
    assert str(caught.value) == "no installed package provides the scheduler 'sun' (installed: cron)"


def test_scheduler_named_two_packages_are_named(install: Install) -> None:
    """If two packages provide a scheduler of one name, the error names both."""
    install(("one", "aioq.schedulers", "cron", "a:A"), ("two", "aioq.schedulers", "cron", "b:B"))
    with pytest.raises(DiscoveryError, match=r"the scheduler 'cron': one \(a:A\) and two \(b:B\)"):
        scheduler_named("cron")


@pytest.mark.parametrize("value", [f"{HERE}:make_nothing", f"{HERE}:NUMBER"])
def test_scheduler_named_invalid_entry_point_is_named(install: Install, value: str) -> None:
    """If an entry point does not return a scheduler, the error names its package."""
    install(("bad", "aioq.schedulers", "cron", value))
    with pytest.raises(
        DiscoveryError,
        match=rf"^{value} of bad does not make a scheduler: aioq.protocols.Scheduler has parse, run, too$",
    ):
        scheduler_named("cron")


def test_memory_broker_has_entry_point() -> None:
    """The metadata of aioq-core name the memory broker."""
    assert isinstance(broker_from_url("memory://"), MemoryBroker)


def make_with_settings(url: str, *, namespace: str = "aioq", timeout: float = 5.0) -> MemoryBroker:
    """A broker with settings."""
    broker = MemoryBroker()
    vars(broker).update(made_with=(url, namespace, timeout))
    return broker


def test_app_settings_reach_broker_of_url(install: Install) -> None:
    """`namespace` and `broker_options` are keyword arguments of the broker that the URL stands for."""
    install(("aioq-mine", "aioq.brokers", "mine", f"{HERE}:make_with_settings"))
    app = Aarq("mine://host", namespace="shop", broker_options={"timeout": 60.0})
    assert vars(app.broker)["made_with"] == ("mine://host", "shop", 60.0)
    assert vars(Aarq("mine://host").broker)["made_with"] == ("mine://host", "aioq", 5.0)


def test_app_unknown_broker_option_is_named(install: Install) -> None:
    """An option that the broker does not have is refused, with those that it has."""
    install(
        ("aioq-mine", "aioq.brokers", "mine", f"{HERE}:make_with_settings"),
        ("aioq-mine", "aioq.brokers", "bare", f"{HERE}:make_memory"),
    )
    with pytest.raises(TypeError, match="mine:// has no setting retries; it has namespace, timeout"):
        Aarq("mine://host", broker_options={"retries": 60.0})
    with pytest.raises(TypeError, match="bare:// has no setting namespace; it has none"):
        Aarq("bare://host", namespace="shop")


def test_app_settings_for_broker_object_are_refused() -> None:
    """A broker that is an object has its settings already."""
    with pytest.raises(TypeError, match=r"namespace and timeout is for a broker given by its URL; pass it to MemoryB"):
        Aarq(MemoryBroker(), namespace="shop", broker_options={"timeout": 1})
