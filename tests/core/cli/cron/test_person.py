"""Who gives a command."""

from __future__ import annotations

import getpass
import socket

import pytest

from aioq.cli.cron.manual import manual_worker_id, user_at_host
from aioq.model.ids import check_name


def test_a_person_is_a_user_at_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a mail address."""
    monkeypatch.setenv("LOGNAME", "ada")
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    assert user_at_host() == "ada@laptop"


@pytest.mark.parametrize("error", [KeyError("uid not found: 1000"), OSError("no username set")])
def test_a_container_may_have_no_name_for_its_user(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Then it is somebody."""

    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert user_at_host().startswith("somebody@")


def test_a_hand_has_the_form_of_a_worker_id() -> None:
    """Whatever the user is called: every broker can store it."""
    hand = manual_worker_id("Ada Lovelace@host" + "x" * 300)
    assert hand.startswith("by-hand-Ada-Lovelace@host")
    assert check_name("worker id", hand) == hand
