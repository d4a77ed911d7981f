"""Prepares the templates: everything that they print is escaped unless it is markup."""

from __future__ import annotations

from hashlib import blake2b
from importlib.resources import files
from typing import Final, cast

from jinja2 import Environment, PackageLoader, StrictUndefined

from aioq.model.workers import weighted_names
from aioq_web.text import compact, count_of, duration, number

__all__ = ["ASSETS", "STATIC", "VERSION", "new_environment"]

STATIC: Final = {"style.css": "text/css", "live.js": "text/javascript", "mark.svg": "image/svg+xml"}
"""The files that pages load, and their types."""

ASSETS: Final = {name: files("aioq_web").joinpath("static", name).read_bytes() for name in STATIC}

VERSION: Final = blake2b(b"".join(ASSETS.values()), digest_size=6).hexdigest()
"""Changes with each file that pages load."""


def new_environment() -> Environment:
    """Return an environment that has the filters and the functions of the templates."""
    environment = Environment(
        loader=PackageLoader("aioq_web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = cast("dict[str, object]", environment.filters)  # pyright: ignore[reportUnknownMemberType]
    filters |= {"number": number, "compact": compact, "duration": duration, "count_of": count_of}
    # Browsers keep a file for a year, and ask for another one when its content has changed.
    versions = {name: blake2b(content, digest_size=6).hexdigest() for name, content in ASSETS.items()}
    environment.globals |= {  # pyright: ignore[reportUnknownMemberType]
        "asset_version": versions,
        "version": VERSION,
        "weighted_names": weighted_names,
    }
    return environment
