"""Puts the version of this release into what a distribution requires of the others: they are released together."""

from __future__ import annotations

from typing import Any, cast

from hatchling.metadata.plugin.interface import MetadataHookInterface


class OwnRequirements(MetadataHookInterface):
    """Makes the requirements of the lines in pyproject.toml, which say `{version}`.

    An sdist holds the result, so that it is built without the other distributions.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the requirements, and those of the extras if there are any."""
        settings = cast("dict[str, Any]", self.config)  # pyright: ignore[reportUnknownMemberType]
        metadata["dependencies"] = self._filled(settings["dependencies"], metadata["version"])
        if extras := settings.get("optional-dependencies"):
            metadata["optional-dependencies"] = {
                extra: self._filled(lines, metadata["version"]) for extra, lines in extras.items()
            }

    def _filled(self, lines: list[str], version: str) -> list[str]:
        return [line.replace("{version}", version) for line in lines]
