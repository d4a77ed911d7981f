"""Reads a broker URL and the durability option: where the server is, and how to log in."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from aioq.errors import BrokerConfigError

__all__ = ["CLUSTER", "SENTINEL", "SILENCE", "SINGLE", "Address", "Durability", "Settings"]

SINGLE: Final = ""
SENTINEL: Final = "sentinel"
CLUSTER: Final = "cluster"

SILENCE: Final = 5.0
"""Seconds for which a connection may be silent while a reply is due; see `aioq_redis.client.client.silence_limit`."""

_TCP: Final = ("redis", "valkey")
_TLS: Final = ("rediss", "valkeys")
_UNIX: Final = "unix"
_KINDS: Final = (SINGLE, SENTINEL, CLUSTER)
_PORTS: Final = {SINGLE: 6379, SENTINEL: 26379, CLUSTER: 6379}
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
_CERT_REQS: Final = ("required", "none")
_DURABILITY: Final = re.compile(r"primary|replica:([1-9]\d?)")


class Address(NamedTuple):
    """Host and port of one server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The contents of a URL; `repr` and `masked` leave the passwords out."""

    masked: str
    """The URL with its defaults and without its password, for messages."""
    kind: str = SINGLE
    """`SINGLE` for one server, `SENTINEL` or `CLUSTER`."""
    addresses: tuple[Address, ...] = (Address("localhost", 6379),)
    """The server, the sentinels, or some nodes of the cluster."""
    service: str = ""
    """The name under which the sentinels watch the primary."""
    path: str = ""
    """The Unix socket; empty for TCP."""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    tls: bool = False
    verify: bool = True
    """Whether the server needs a certificate for its host from a trusted authority."""
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None
    silence: float = SILENCE
    """Seconds without a byte after which a connection is given up, if a reply is due; not part of the URL."""

    @classmethod
    def from_url(cls, url: str) -> Settings:
        """Read a URL with the scheme redis, rediss, unix, valkey or valkeys, or one with +sentinel or +cluster.

        Raises:
            BrokerConfigError: The URL is malformed, or has an unknown option.
        """
        # Any part of the text may belong to a password, as the URL was not understood: the error shows none of it, and
        # is raised outside of the block, so that it has no context with another one that does.
        try:
            return _parse(url)
        except BrokerConfigError as error:
            why = str(error)
        except ValueError:
            why = "host or port cannot be read; a port is a number up to 65535"
        raise BrokerConfigError(
            f"the URL of the Redis server cannot be read: {why}; percent-encode / ? # @ : and % in user name and "
            f"password, for example %2F for /"
        )

    @property
    def host(self) -> str:
        """The host of the first address."""
        return self.addresses[0].host

    @property
    def port(self) -> int:
        """The port of the first address."""
        return self.addresses[0].port

    def at(self, address: Address) -> Settings:
        """Return the settings for one of the servers: the primary, or a node of the cluster."""
        return replace(self, addresses=(address,), masked=f"{address} of {self.masked}")

    def of_sentinel(self, address: Address) -> Settings:
        """Return the settings for one of the sentinels, which have users of their own and no databases."""
        return replace(self.at(address), db=0, username=self.sentinel_username, password=self.sentinel_password)


@dataclass(frozen=True, slots=True)
class Durability:
    """How many servers must have a write before it counts as done.

    Args:
        replicas: Copies beside that of the primary.
        timeout: Seconds that the replicas may take.
    """

    replicas: int
    timeout: float

    @classmethod
    def parse(cls, text: str, timeout: float) -> Durability:
        """Read `primary` or `replica:N`.

        Raises:
            ValueError: The text is neither.
        """
        found = _DURABILITY.fullmatch(text)
        if found is None:
            raise ValueError(f"durability must be 'primary', or 'replica:1' to 'replica:99', got {text!r}")
        return cls(int(found[1] or 0), timeout)


def _parse(text: str) -> Settings:
    url = urlsplit(text)
    if "://" not in text:
        raise BrokerConfigError("it must begin with a scheme and ://, for example redis://localhost:6379")
    scheme, _, kind = url.scheme.partition("+")
    if scheme not in (*_TCP, *_TLS, _UNIX) or kind not in _KINDS or (scheme == _UNIX and kind):
        raise BrokerConfigError(
            "the scheme must be redis, rediss, unix, valkey or valkeys; +sentinel or +cluster may follow all but unix"
        )
    options = _options(url, scheme, kind)
    return _unix(url, options) if scheme == _UNIX else _tcp(url, options, tls=scheme in _TLS, kind=kind)


def _tcp(url: SplitResult, options: dict[str, str], *, tls: bool, kind: str) -> Settings:
    addresses = _addresses(url, kind)
    if "@" in url.path:
        raise BrokerConfigError("there is an @ after the host")
    service, path = _service(url.path) if kind == SENTINEL else ("", url.path.strip("/"))
    if kind == CLUSTER and path:
        raise BrokerConfigError("a cluster has no databases but 0; leave out the path")
    db = _database(path, options)
    if "ssl_keyfile" in options and "ssl_certfile" not in options:
        raise BrokerConfigError("ssl_keyfile is the key of a certificate; name that as ssl_certfile=")
    shown = ",".join(map(str, addresses)) + (f"/{service}" if service else "") + ("" if kind == CLUSTER else f"/{db}")
    return Settings(
        masked=f"{url.scheme}://{_shown_user(url)}{shown}",
        kind=kind,
        addresses=addresses,
        service=service,
        db=db,
        username=_decoded(url.username),
        password=_decoded(url.password),
        sentinel_username=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=tls,
        verify=_choice(options, "ssl_cert_reqs", _CERT_REQS) != "none",
        ca_certs=_file(options, "ssl_ca_certs"),
        certfile=_file(options, "ssl_certfile"),
        keyfile=_file(options, "ssl_keyfile"),
    )


def _addresses(url: SplitResult, kind: str) -> tuple[Address, ...]:
    default = _PORTS[kind]
    if kind == SINGLE:
        return (Address(url.hostname or "localhost", url.port or default),)
    # By hand, as `urlsplit` knows URLs with one host only.
    parts = url.netloc.rpartition("@")[2].split(",")
    hosts = [urlsplit(f"//{part}") for part in parts]
    if not all(part and host.hostname for part, host in zip(parts, hosts, strict=True)):
        raise BrokerConfigError("it must name hosts, as in host:port,host:port")
    return tuple(Address(host.hostname or "", host.port or default) for host in hosts)


def _service(path: str) -> tuple[str, str]:
    service, _, db = path.strip("/").partition("/")
    if not service:
        raise BrokerConfigError(
            "the path must name the service that the sentinels watch, as in /mymaster or /mymaster/0"
        )
    return unquote(service), db


def _unix(url: SplitResult, options: dict[str, str]) -> Settings:
    if url.hostname or not url.path.strip("/"):
        raise BrokerConfigError("the path of the socket must be absolute, as in unix:///run/redis.sock")
    db = _database("", options)
    return Settings(
        masked=f"unix://{_shown_user(url)}{url.path}?db={db}",
        path=unquote(url.path),
        db=db,
        username=_decoded(url.username),
        password=_decoded(url.password),
    )


def _options(url: SplitResult, scheme: str, kind: str) -> dict[str, str]:
    allowed: tuple[str, ...] = () if kind == CLUSTER else ("db",)
    allowed += (_SENTINEL_OPTIONS if kind == SENTINEL else ()) + (_TLS_OPTIONS if scheme in _TLS else ())
    options: dict[str, str] = {}
    # An option without a value is a mistake, and not the same as none.
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        if name not in allowed:
            raise BrokerConfigError(f"it has an unknown option; {url.scheme}:// has {', '.join(allowed) or 'none'}")
        if name in options:
            raise BrokerConfigError(f"option {name} is given twice")
        options[name] = value
    if url.fragment:
        raise BrokerConfigError("it contains a #")
    return options


def _database(path: str, options: dict[str, str]) -> int:
    text = options.get("db", "") if "db" in options else path or "0"
    if "db" in options and path:
        raise BrokerConfigError("the database is given twice, in the path and as db=")
    # `int` would accept signs, blanks and the digits of other scripts, too.
    if not (text.isascii() and text.isdigit()):
        raise BrokerConfigError("the database must be a whole number")
    return int(text)


def _choice(options: dict[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = options.get(name)
    if value is not None and value not in allowed:
        raise BrokerConfigError(f"{name} must be {' or '.join(allowed)}")
    return value


def _file(options: dict[str, str], name: str) -> str | None:
    value = options.get(name)
    # Now, because the TLS library would not say which option is wrong.
    if value is not None and not Path(value).is_file():
        raise BrokerConfigError(f"{name} must name a file, and there is none of this name")
    return value


def _decoded(text: str | None) -> str | None:
    return unquote(text) if text else None


def _shown_user(url: SplitResult) -> str:
    # The user is shown: a wrong name is a frequent mistake, and no secret.
    secret = ":***" if url.password else ""
    return f"{url.username or ''}{secret}@" if url.username or secret else ""
