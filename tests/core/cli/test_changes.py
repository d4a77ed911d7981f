"""The name of the user in records of changes."""

from __future__ import annotations

import getpass

import pytest

from aioq.cli.changes import user_at_host


def test_user_at_host_joins_user_and_host(ada: str) -> None:
    """The text looks like a mail address."""
    assert user_at_host() == ada


@pytest.mark.parametrize("error", [KeyError("uid not found: 1000"), OSError("no username set")])
def test_user_at_host_without_user_name_is_unknown(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """In a container the user may have no name."""

    def getuser() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", getuser)
    assert user_at_host().startswith("unknown@")
