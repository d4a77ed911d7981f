"""Broker URLs: what they give, which are rejected, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioq.errors import BrokerConfigError
from aioq_redis import RedisBroker
from aioq_redis.client.url import Address, Settings, mask


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://localhost:6379", ("localhost", 6379, 0, False)),
        ("redis://", ("localhost", 6379, 0, False)),
        ("redis://h", ("h", 6379, 0, False)),
        ("redis://h:7/3", ("h", 7, 3, False)),
        ("redis://h/?db=4", ("h", 6379, 4, False)),
        ("redis://[::1]:7", ("::1", 7, 0, False)),
        ("valkey://h:7", ("h", 7, 0, False)),
        ("rediss://h", ("h", 6379, 0, True)),
        ("valkeys://h", ("h", 6379, 0, True)),
    ],
)
def test_url_gives_host_port_and_database(url: str, place: tuple[str, int, int, bool]) -> None:
    """Host, port and database come from the URL, or are the defaults of Redis."""
    settings = Settings.from_url(url)
    assert (settings.host, settings.port, settings.db, settings.tls) == place


@pytest.mark.parametrize(
    ("url", "addresses", "service", "shown"),
    [
        ("redis+cluster://h", ("h:6379",), "", "redis+cluster://h:6379"),
        (
            "valkey+cluster://u:p@a:1,[::1]:2,c",
            ("a:1", "[::1]:2", "c:6379"),
            "",
            "valkey+cluster://u:***@a:1,[::1]:2,c:6379",
        ),
        ("redis+sentinel://h/main", ("h:26379",), "main", "redis+sentinel://h:26379/main/0"),
        ("rediss+sentinel://:p@a:1,b/main/2", ("a:1", "b:26379"), "main", "rediss+sentinel://:***@a:1,b:26379/main/2"),
    ],
)
def test_url_gives_several_addresses(url: str, addresses: tuple[str, ...], service: str, shown: str) -> None:
    """A URL can have nodes of a cluster, or sentinels and the service that they watch."""
    settings = Settings.from_url(url)
    assert tuple(map(str, settings.addresses)) == addresses
    assert settings.service == service
    assert settings.masked == shown


def test_url_gives_sentinel_credentials() -> None:
    """The credentials before the hosts are those of the servers, not of the sentinels."""
    settings = Settings.from_url("redis+sentinel://u:p%40@h/main/3?sentinel_username=s&sentinel_password=t%40")
    sentinel, server = settings.of_sentinel(settings.addresses[0]), settings.at(Address("p", 1))
    assert (sentinel.username, sentinel.password, sentinel.db) == ("s", "t@", 0)
    assert (server.username, server.password, server.db) == ("u", "p@", 3)
    assert "t@" not in repr(settings) + settings.masked + sentinel.masked


def test_unix_url_gives_socket_path() -> None:
    """The path is decoded, and the database is an option."""
    settings = Settings.from_url("unix://u:p@/run/a%20b.sock?db=2")
    assert (settings.path, settings.db, settings.username, settings.password) == ("/run/a b.sock", 2, "u", "p")


def test_url_credentials_are_decoded() -> None:
    """User name and password can contain percent-encoded characters."""
    settings = Settings.from_url("redis://us%40er:p%2Fa%3As%23s@h")
    assert (settings.username, settings.password) == ("us@er", "p/a:s#s")


def test_url_verifies_tls_by_default() -> None:
    """Only ssl_cert_reqs=none switches the verification off."""
    assert Settings.from_url("rediss://h").verify
    assert Settings.from_url("rediss://h?ssl_cert_reqs=required").verify
    assert not Settings.from_url("rediss://h?ssl_cert_reqs=none").verify


def test_url_gives_certificate_files(tmp_path: Path) -> None:
    """The files of the authority and of our own certificate are options."""
    file = tmp_path / "ca.pem"
    file.touch()
    assert Settings.from_url(f"rediss://h?ssl_ca_certs={file}").ca_certs == str(file)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://h", "scheme must be"),
        ("redis://h:port", "Port"),
        ("redis://h:99999", "Port"),
        ("redis://h/x", "database must be a whole number"),
        ("redis://h/-1", "database must be a whole number"),
        ("redis://h/1?db=2", "given twice"),
        ("redis://h?db=1&db=2", "given twice"),
        ("redis://h?socket_timeout=5", "unknown option 'socket_timeout'"),
        ("redis://h?ssl_cert_reqs=none", "unknown option 'ssl_cert_reqs'"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs must be required or none, got 'maybe'"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "no such file"),
        ("redis://h#x", "%23"),
        ("unix://relative/path", "must be absolute"),
        ("unix://", "must be absolute"),
        ("unix+cluster:///s", "scheme must be"),
        ("redis+ring://h", "scheme must be"),
        ("redis+cluster://", "must name hosts"),
        ("redis+cluster://a,,b", "must name hosts"),
        ("redis+cluster://h/1", "no databases but 0"),
        ("redis+cluster://h?db=0", "unknown option 'db'; redis\\+cluster:// has none"),
        ("redis+cluster://a:1,b:x", "Port"),
        ("redis+sentinel://h", "must name the service"),
        ("redis+sentinel://h/main/x", "database must be a whole number"),
        ("redis+sentinel://h/main/1/2", "database must be a whole number"),
        ("redis+cluster://h?sentinel_password=x", "unknown option 'sentinel_password'"),
    ],
)
def test_malformed_url_raises(url: str, complaint: str) -> None:
    """The error says what is wrong with the URL."""
    with pytest.raises(BrokerConfigError, match=complaint):
        Settings.from_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2@h:1x",
        "redis://:hunter2@h?what=hunter2",
        "redis://hunter2@h:x",
        "redis://h?password=hunter2",
        "redis://u:hun#hunter2@h",
        "redis://u:a@hunter2@h:x",
        "nonsense://u:hunter2@h",
        "unix://u:hunter2@h/x",
        "redis+cluster://u:hunter2@a,b/1",
        "redis+sentinel://u:hunter2@a,b",
        "redis+sentinel://a,b?sentinel_password=hunter2",
    ],
)
def test_error_of_malformed_url_hides_secrets(url: str) -> None:
    """Error messages show the URL without secrets."""
    with pytest.raises(BrokerConfigError) as caught:
        RedisBroker(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379", "redis://localhost:6379/0"),
        ("redis://user:hunter2@host/0", "redis://user:***@host:6379/0"),
        ("redis://:hunter2@host:7/1", "redis://:***@host:7/1"),
        ("rediss://user@[::1]", "rediss://user@[::1]:6379/0"),
        ("unix://user:hunter2@/run/s?db=1", "unix://user:***@/run/s?db=1"),
    ],
)
def test_repr_shows_url_without_password(url: str, shown: str) -> None:
    """`repr` of the broker shows the URL with its defaults."""
    assert repr(RedisBroker(url, namespace="app")) == f"RedisBroker({shown!r}, namespace='app')"
    assert "hunter2" not in repr(Settings.from_url(url))


def test_mask_takes_any_text() -> None:
    """A text that is not a URL is returned as it is."""
    assert mask("nothing to hide") == "nothing to hide"
    assert mask("redis://h/0?a=secret&b=secret") == "redis://h/0?a=***&b=***"


@pytest.mark.parametrize("name", ["", "a:b", "{a}", "a b", "a*", "a\n", "ä", "x" * 65, "../x"])
def test_namespace_is_checked(name: str) -> None:
    """A namespace that could reach into another one is rejected, and the error names the option."""
    with pytest.raises(ValueError, match="namespace"):
        RedisBroker(namespace=name)


@pytest.mark.parametrize(
    ("option", "value"),
    [("timeout", 0), ("timeout", 4000), ("dead_ttl", 0), ("dead_limit", 0), ("cancelled_ttl", -1.0)],
)
def test_broker_options_are_checked(option: str, value: float) -> None:
    """A value out of range is rejected, and the error names the option."""
    with pytest.raises(ValueError, match=option):
        RedisBroker(**{option: value})  # type: ignore[arg-type]  # on purpose
