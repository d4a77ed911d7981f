"""The decisions about outages: when there was one, how long reaping waits, and what counts no crash."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aioq.model.outage import SignsOfLife, forgives, note_extended, note_sign, reapable, set_back

LEASE = 12.0
"""Signs of life are due every 3 to 5 s, and an outage is noticed after 8 s."""


def may_reap(signs: SignsOfLife, now: float) -> bool:
    """Return whether a lease that has just run out is reaped."""
    return reapable(signs, now) == now


def after_silence(seconds: float, *, lease: float = LEASE) -> SignsOfLife:
    """Return the signs of a queue after one at 100 s and one that much later."""
    return note_sign(note_sign(None, 100.0, lease=LEASE), 100.0 + seconds, lease=lease)


def test_note_sign_first_sign_is_no_outage() -> None:
    """Of a queue without an earlier sign nothing is known, so leases are reaped."""
    signs = note_sign(None, 100.0, lease=LEASE)
    assert may_reap(signs, 100.0)
    assert not forgives(signs, 99.0)


def test_note_sign_silence_beyond_two_thirds_of_a_lease_is_an_outage() -> None:
    """Reaping waits a lease from the sign that ends a silence of more than two thirds of a lease."""
    assert may_reap(after_silence(8.0), 108.0)
    noticed = after_silence(8.1)
    assert not may_reap(noticed, 108.1 + LEASE - 0.1)
    assert may_reap(noticed, 108.1 + LEASE)


@given(st.lists(st.floats(0.0, LEASE * 5 / 12), max_size=50))
def test_note_sign_healthy_fleet_has_no_outage(pauses: list[float]) -> None:
    """Signs that come when they are due are never taken for an outage."""
    now = 100.0
    signs = note_sign(None, now, lease=LEASE)
    for pause in pauses:
        now += pause
        signs = note_sign(signs, now, lease=LEASE)
        assert may_reap(signs, now)


@given(st.floats(0.0, LEASE / 3), st.floats(0.0, 3 * LEASE))
def test_note_sign_healthy_lease_is_never_reaped_after_silence(extended_ago: float, silence: float) -> None:
    """A lease that was extended when it was due has time left, or reaping waits."""
    signs = after_silence(silence)
    deadline = 100.0 - extended_ago + LEASE
    assert deadline >= 100.0 + silence or not may_reap(signs, 100.0 + silence)


def test_note_sign_in_the_wait_keeps_it() -> None:
    """Signs of other workers neither end nor extend the wait."""
    noticed = after_silence(20.0)
    later = note_sign(noticed, 124.0, lease=LEASE)
    assert later.wait_until == noticed.wait_until == 132.0


def test_note_sign_longer_lease_of_another_worker_counts() -> None:
    """The silence of a worker with a long lease is no outage, and the wait lasts as long as the longer lease."""
    signs = note_sign(note_sign(None, 100.0, lease=60.0), 101.0, lease=LEASE)
    assert may_reap(note_sign(signs, 130.0, lease=LEASE), 130.0)
    assert note_sign(signs, 141.0, lease=LEASE).wait_until == 201.0


def test_reapable_lease_that_ran_out_before_two_earlier_outages() -> None:
    """Workers that run for less than a lease at a time would otherwise never reap; other leases are waited for."""
    signs = note_sign(None, 0.0, lease=LEASE)
    for now in (100.0, 200.0):
        signs = note_sign(signs, now, lease=LEASE)
        assert reapable(signs, now) == 0.0
    for now in (300.0, 400.0):
        signs = note_sign(signs, now, lease=LEASE)
        assert reapable(signs, now) == now - 200.0


@given(st.lists(st.floats(LEASE / 2, LEASE), min_size=1, max_size=20), st.floats(LEASE, 9 * LEASE))
def test_reapable_healthy_lease_survives_flapping_server(ups: list[float], down: float) -> None:
    """A worker that extends within half a lease of the server's return keeps its leases, however often it goes away."""
    now = deadline = 100.0
    signs = note_sign(None, now, lease=LEASE)
    for up in ups:
        now += down
        signs = note_sign(signs, now, lease=LEASE)
        assert deadline > reapable(signs, now)
        now += up
        signs = note_sign(signs, now, lease=LEASE)
        deadline = now + LEASE


def test_forgives_needs_a_survivor() -> None:
    """Leases that ran out in an outage count no crash if a lease from before it was extended after it."""
    noticed = after_silence(20.0)
    assert not forgives(noticed, 110.0)
    assert not forgives(note_extended(noticed, [119.9]), 110.0)
    assert forgives(note_extended(noticed, [119.9, 99.0]), 110.0)


def test_forgives_lease_that_ended_after_the_wait_counts() -> None:
    """A lease that was extended after the outage, and then ran out, is that of a worker that crashed later."""
    signs = note_extended(after_silence(20.0), [99.0])
    assert forgives(signs, signs.wait_until - 0.1)
    assert not forgives(signs, signs.wait_until)


def test_note_extended_without_outage_changes_nothing() -> None:
    """Without an outage there is nothing to survive."""
    signs = note_sign(None, 100.0, lease=LEASE)
    assert note_extended(signs, [99.0]) == signs


def test_note_sign_second_outage_forgets_survivors_of_the_first() -> None:
    """A worker that survived one outage may have crashed in the next."""
    survived = note_extended(after_silence(20.0), [99.0])
    again = note_sign(survived, 150.0, lease=LEASE)
    assert not forgives(again, 140.0)


def test_set_back_clock_is_an_outage() -> None:
    """If the broker's clock is set back, reaping waits, and deadlines move by the step."""
    signs = note_sign(None, 10_000.0, lease=LEASE)
    assert set_back(signs, 6_400.0) == 3_600.0
    noticed = note_sign(signs, 6_400.0, lease=LEASE)
    assert not may_reap(noticed, 6_401.0)
    assert forgives(note_extended(noticed, [9_999.0]), 6_405.0)


def test_set_back_small_step_is_ignored() -> None:
    """Clocks are corrected by a little all the time."""
    signs = note_sign(None, 100.0, lease=LEASE)
    assert set_back(signs, 99.0) == 0.0
    assert may_reap(note_sign(signs, 99.0, lease=LEASE), 99.0)
