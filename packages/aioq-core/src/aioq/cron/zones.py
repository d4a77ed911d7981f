"""Time zones of entries: by name, and as text that is the same in every process."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["HOST_DEPENDENT", "load_zone", "zone_named", "zone_text"]

HOST_DEPENDENT: Final = frozenset({"localtime", "posixrules", "factory"})
"""Names whose rules are those of a host, in lower case: two workers could read them in two ways."""

FIXED_OFFSET: Final = re.compile(r"UTC([+-])(\d\d):(\d\d)(?::(\d\d))?")
"""The text of a `datetime.timezone`, without microseconds."""


def load_zone(name: str) -> tzinfo:
    """Return the zone of a name. UTC needs no time zone data.

    Raises:
        ValueError: There is no such zone, or it depends on the host.
    """
    if name.casefold() in HOST_DEPENDENT:
        raise ValueError(
            f"tz {name!r} is the zone of the host, which differs from host to host; name one such as Europe/Berlin"
        )
    try:
        return ZoneInfo(name)
    # For a name that is a folder or too long, ZoneInfo lets the OSError of the file system through.
    except (KeyError, ValueError, OSError):
        if name == "UTC":
            return UTC
        raise ValueError(f"tz {name[:60]!r} is not a known time zone") from None


def zone_text(zone: tzinfo) -> str:
    """Return a text that identifies a zone: its name if it has one, or else the class of the object."""
    key: object = getattr(zone, "key", None) or getattr(zone, "zone", None)  # of zoneinfo, and of pytz
    if isinstance(key, str):
        return key
    if isinstance(zone, timezone):
        return str(timezone(zone.utcoffset(None)))  # the offset, also of one with a name of its own
    kind = type(zone)
    # The default text has the address of the object: the fingerprint of an entry would change with every process.
    text = str(zone)
    return f"{kind.__module__}.{kind.__qualname__}" if f"{id(zone):x}" in text.casefold() else text


def zone_named(name: str) -> tzinfo:
    """Return the zone that `zone_text` named; UTC if it cannot be found by its name."""
    if found := FIXED_OFFSET.fullmatch(name):
        sign, hours, minutes, seconds = found.groups(default="0")
        offset = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))
        if offset < timedelta(days=1):
            return timezone(-offset if sign == "-" else offset)
    try:
        return load_zone(name)
    except ValueError:
        return UTC
