"""Tests `aioq.protocols.ChangeLog`."""

from __future__ import annotations

import pytest

from aioq.conformance import lacking
from aioq.model.changes import MAX_CHANGES, MAX_SUBJECT, MAX_TEXT, Change
from aioq.protocols import Broker, ChangeLog
from aioq.testing.contracts.suite import BrokerSuite

__all__ = ["ChangeLogContract"]


class ChangeLogContract(BrokerSuite):
    """The suite for `aioq.protocols.ChangeLog`; subclass it beside `BrokerContract`."""

    @pytest.fixture
    def changes(self, broker: Broker) -> ChangeLog:
        """The broker, as a record of changes."""
        assert isinstance(broker, ChangeLog), f"it lacks {lacking(broker, ChangeLog)}"
        return broker

    def change(self, n: int = 0, subject: str = "queue q", **texts: str) -> Change:
        """Return a change at second `n`."""
        fields = {"by": "ada@host", "what": "pause", "note": "too hot", **texts}
        return Change(at=1_700_000_000.25 + n, subject=subject, **fields)

    async def test_list_changes_newest_first(self, changes: ChangeLog, peer: ChangeLog) -> None:
        """Every process lists the changes as they were noted, the newest first, and as many as it asks for."""
        noted = [self.change(n) for n in range(3)]
        for change in noted:
            await changes.note_change(change)
        assert await peer.list_changes() == noted[::-1]
        assert await peer.list_changes(limit=2) == noted[:0:-1]
        assert await peer.list_changes(limit=0) == []

    async def test_list_changes_of_one_subject(self, changes: ChangeLog) -> None:
        """A list of a subject has its changes only, also if many others came after them."""
        mine = self.change(subject="job q a")
        await changes.note_change(mine)
        for n in range(12):
            await changes.note_change(self.change(n, subject="job q ab"))
        assert await changes.list_changes(limit=1, subject="job q a") == [mine]
        assert await changes.list_changes(subject="job q") == []

    async def test_note_change_forgets_the_oldest(self, changes: ChangeLog) -> None:
        """No more changes are kept than the limit."""
        for n in range(MAX_CHANGES + 5):
            await changes.note_change(self.change(n))
        found = await changes.list_changes(limit=2 * MAX_CHANGES)
        assert (len(found), found[-1]) == (MAX_CHANGES, self.change(5))

    async def test_note_change_any_text(self, changes: ChangeLog) -> None:
        """The longest texts are stored without loss, whatever is in them; the note may be empty."""
        odd = '\n"\\\x00é\u2028'
        longest = self.change(by=odd.ljust(MAX_TEXT, "b"), subject="s" * MAX_SUBJECT, note=odd.ljust(MAX_TEXT, "n"))
        await changes.note_change(longest)
        await changes.note_change(self.change(note=""))
        assert await changes.list_changes() == [self.change(note=""), longest]

    async def test_note_change_bad_text_is_rejected(self, changes: ChangeLog) -> None:
        """A text that is too long, or empty and must not be, is rejected, and nothing is noted."""
        long = "n" * (MAX_TEXT + 1)
        bad = [self.change(by=""), self.change(what=""), self.change(subject=""), self.change(note=long)]
        for change in [*bad, self.change(subject="s" * (MAX_SUBJECT + 1))]:
            with pytest.raises(ValueError, match="characters, got"):
                await changes.note_change(change)
        assert await changes.list_changes() == []
