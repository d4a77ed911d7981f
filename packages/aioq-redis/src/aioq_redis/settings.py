"""A URL taken apart: where the server is, and how to be let in. Never shows a secret."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from aioq.errors import BrokerConfigError

__all__ = ["Settings", "mask"]

_TCP: Final = ("redis", "valkey")
_TLS: Final = ("rediss", "valkeys")
_UNIX: Final = "unix"
_TLS_OPTIONS: Final = ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_keyfile")
_CERT_REQS: Final = ("required", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a URL says; `repr` and `masked` leave the password out."""

    masked: str
    """The URL, complete with its defaults, fit to be shown."""
    host: str = "localhost"
    port: int = 6379
    path: str = ""
    """Of a Unix socket; empty for TCP."""
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    verify: bool = True
    """Whether the server must show a certificate for its host by a trusted authority."""
    ca_certs: str | None = None
    certfile: str | None = None
    keyfile: str | None = None

    @classmethod
    def from_url(cls, url: str) -> Settings:
        """Read a URL of the scheme redis, rediss, unix, valkey or valkeys.

        Raises:
            BrokerConfigError: It is malformed, or says something that is not understood.
        """
        try:
            return _parse(urlsplit(url))
        except (ValueError, BrokerConfigError) as error:
            raise BrokerConfigError(f"{mask(url)} is no URL of a Redis server: {error}") from None


def mask(url: str) -> str:
    """Return any text that may be a URL without what may be a password in it."""
    url = re.sub(r"(?<=://).*@", "***@", url)
    return re.sub(r"(?<=[?&])([^=&]*)=[^&]*", r"\1=***", url)


def _parse(url: SplitResult) -> Settings:
    options = _options(url)
    if url.scheme == _UNIX:
        return _unix(url, options)
    if url.scheme not in _TCP + _TLS:
        raise BrokerConfigError("the scheme must be redis, rediss, unix, valkey or valkeys")
    host, port = url.hostname or "localhost", url.port or 6379
    db = _database(url.path.strip("/"), options)
    shown_host = f"[{host}]" if ":" in host else host
    return Settings(
        masked=f"{url.scheme}://{_shown_user(url)}{shown_host}:{port}/{db}",
        host=host,
        port=port,
        db=db,
        username=_decoded(url.username),
        password=_decoded(url.password),
        tls=url.scheme in _TLS,
        verify=_choice(options, "ssl_cert_reqs", _CERT_REQS) != "none",
        ca_certs=_file(options, "ssl_ca_certs"),
        certfile=_file(options, "ssl_certfile"),
        keyfile=_file(options, "ssl_keyfile"),
    )


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


def _options(url: SplitResult) -> dict[str, str]:
    allowed = ("db", *_TLS_OPTIONS) if url.scheme in _TLS else ("db",)
    options: dict[str, str] = {}
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        if name not in allowed:
            raise BrokerConfigError(f"unknown option {name!r}; {url.scheme}:// knows {', '.join(allowed)}")
        if name in options:
            raise BrokerConfigError(f"option {name} is given twice")
        options[name] = value
    if url.fragment:
        raise BrokerConfigError("it has a # in it; write %23 in a user name or password")
    return options


def _database(path: str, options: dict[str, str]) -> int:
    text = options.get("db", "") if "db" in options else path or "0"
    if "db" in options and path:
        raise BrokerConfigError("the database is given twice, in the path and as db=")
    if not (text.isascii() and text.isdigit()):
        raise BrokerConfigError("the database must be a whole number")
    return int(text)


def _choice(options: dict[str, str], name: str, allowed: tuple[str, ...]) -> str | None:
    value = options.get(name)
    if value is not None and value not in allowed:
        raise BrokerConfigError(f"{name} must be {' or '.join(allowed)}, got {value!r}")
    return value


def _file(options: dict[str, str], name: str) -> str | None:
    value = options.get(name)
    if value is not None and not Path(value).is_file():
        raise BrokerConfigError(f"{name} names {value!r}, and there is no such file")
    return value


def _decoded(text: str | None) -> str | None:
    return unquote(text) if text else None


def _shown_user(url: SplitResult) -> str:
    secret = ":***" if url.password else ""
    return f"{url.username or ''}{secret}@" if url.username or secret else ""
