"""Broker URLs: what they give, which are rejected, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioq import Aarq
from aioq.cli.exit_codes import CommandError
from aioq.cli.find_app import load_target
from aioq.cli.output import print_err
from aioq.errors import AioqError, BrokerConfigError
from aioq_redis import RedisBroker
from aioq_redis.client.url import Address, Settings


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
        ("redis://h:port", "port is a number"),
        ("redis://h:99999", "port is a number"),
        ("redis://h/x", "database must be a whole number"),
        ("redis://h/-1", "database must be a whole number"),
        ("redis://h/1?db=2", "given twice"),
        ("redis://h?db=1&db=2", "given twice"),
        ("redis://h?socket_timeout=5", "unknown option; redis:// has db"),
        ("redis://h?ssl_cert_reqs=none", "unknown option; redis:// has db"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs must be required or none;"),
        ("rediss://h?ssl_ca_certs=/no/such/file", "ssl_ca_certs must name a file"),
        ("redis://h#x", "it contains a #"),
        ("unix://relative/path", "must be absolute"),
        ("unix://", "must be absolute"),
        ("unix+cluster:///s", "scheme must be"),
        ("redis+ring://h", "scheme must be"),
        ("redis+cluster://", "must name hosts"),
        ("redis+cluster://a,,b", "must name hosts"),
        ("redis+cluster://h/1", "no databases but 0"),
        ("redis+cluster://h?db=0", "unknown option; redis\\+cluster:// has none"),
        ("redis+cluster://a:1,b:x", "port is a number"),
        ("redis+sentinel://h", "must name the service"),
        ("redis+sentinel://h/main/x", "database must be a whole number"),
        ("redis+sentinel://h/main/1/2", "database must be a whole number"),
        ("redis+cluster://h?sentinel_password=x", "unknown option; "),
    ],
)
def test_malformed_url_raises(url: str, complaint: str) -> None:
    """The error says what is wrong with the URL."""
    with pytest.raises(BrokerConfigError, match=complaint):
        Settings.from_url(url)


SECRETS = (
    "hun/ter2",
    "hun?ter2",
    "hun#ter2",
    "hun@ter2",
    "hun:ter2",
    "hun%ter2",
    "6379/hunter2",
    "1?hunter2",
    "hun[ter2",
)
"""Passwords that nobody has percent-encoded, and parts of them that look like a port."""

SHAPES = (
    "redis://:{secret}@h:6379/0",
    "redis://user:{secret}@h:6379/0",
    "redis://{secret}@h:x",
    "redis:/user:{secret}@h:6379",
    "redis:user:{secret}@h:6379",
    "user:{secret}@h:6379",
    "//user:{secret}@h",
    ":{secret}@h",
    "nonsense://user:{secret}@h",
    "http://user:{secret}@h",
    "rediss://user:{secret}@h?ssl_cert_reqs={secret}",
    "rediss://user:{secret}@h?ssl_ca_certs={secret}",
    "rediss://h?ssl_certfile={secret}",
    "rediss://h?{secret}=1",
    "redis://h?password={secret}",
    "redis://h/{secret}",
    "redis://user:{secret}@h:6379x",
    "redis://h#{secret}",
    "redis://h?db={secret}",
    "unix://user:{secret}@run/redis.sock",
    "unix://user:{secret}@/run/redis.sock?db={secret}",
    "unix:/{secret}@/run/redis.sock",
    "valkey+cluster://user:{secret}@a,b/1",
    "redis+cluster://user:{secret}@a:1,b:x",
    "redis+cluster://user:{secret}@a,,b",
    "redis+sentinel://user:{secret}@a,b",
    "redis+sentinel://user:{secret}@a,b/main/x",
    "redis+sentinel://a,b?sentinel_password={secret}",
    "redis+sentinel://a,b/main?sentinel_user={secret}",
    "redis+ring://user:{secret}@h",
)


def seen_in(secret: str, text: str) -> list[str]:
    """Return the parts of a password that a text shows."""
    return [part for part in ("hun", "ter2", "hunter2", secret) if part in text]


@pytest.mark.parametrize("secret", ["hunter2", *SECRETS])
@pytest.mark.parametrize("shape", SHAPES)
def test_error_of_url_that_was_not_read_shows_no_part_of_it(
    shape: str, secret: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the broker's error nor the app's, the command line or a log shows any of a URL that cannot be read."""
    url = shape.format(secret=secret)
    shown = ""
    for use in (RedisBroker, Aarq):
        try:
            # It can be read in a few cases, for example if the last @ ends the password.
            shown += repr(use(url))
        except AioqError as error:
            shown += f"{error!r} {error.__cause__!r} {error.__context__!r}"
    try:
        load_target(url, "doctor")
    except (CommandError, AioqError) as error:
        print_err(str(error))
    assert seen_in(secret, shown + caplog.text + "".join(capsys.readouterr())) == []


@pytest.mark.parametrize("url", ["redis://:a/b@h", "redis://:a?b@h", "redis://:a#b@h", "redis://u:1/a@h", "redis:/h"])
def test_error_of_url_that_was_not_read_says_to_percent_encode(url: str) -> None:
    """The error gives the fix, whichever character has split the URL in the wrong place."""
    with pytest.raises(BrokerConfigError, match="percent-encode / . # @ : and % in user name and password") as caught:
        RedisBroker(url)
    assert caught.value.__context__ is None


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
