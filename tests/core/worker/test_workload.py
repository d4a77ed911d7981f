"""The table of leases, and the slots."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from aioq.worker.workload import LeaseTable, Slots
from tests.core.rig import lease, settle_down


async def test_lease_table_drop_of_older_epoch_keeps_newer() -> None:
    """Dropping the lease of an earlier run does not drop that of the current one."""
    table = LeaseTable()
    older, newer = lease(epoch=1), lease(epoch=2)
    table.add([older])
    table.add([newer])
    table.drop(older)
    assert [held.epoch for held in table.all()] == [2]
    table.drop(newer)
    table.drop(newer)
    assert table.all() == []


async def test_slots_and_leases_wake_waiting_tasks() -> None:
    """Waiting tasks wake when the last slot or lease is given back, and tasks that need not wait do not wait."""
    slots, table = Slots(1), LeaseTable()

    async def wait_free() -> None:
        await slots.wait_free(unless=lambda: False)

    await wait_free()
    await slots.wait_idle()
    await table.wait_empty()
    slots.take()
    held = lease()
    table.add([held])
    woken: list[str] = []

    async def wait(name: str, until: Any) -> None:
        await until()
        woken.append(name)

    async with anyio.create_task_group() as tg:
        tg.start_soon(wait, "free", wait_free)
        tg.start_soon(wait, "idle", slots.wait_idle)
        tg.start_soon(wait, "empty", table.wait_empty)
        await settle_down()
        assert woken == []
        slots.release()
        await settle_down()
        assert sorted(woken) == ["free", "idle"]
        table.drop(held)
    assert woken[2:] == ["empty"]


async def test_lease_table_holds_same_id_of_two_queues() -> None:
    """The leases of two jobs with one id in two queues are held, and dropped, independently."""
    table = LeaseTable()
    of_p, of_q = replace(lease(), queue="p"), lease()
    table.add([of_p, of_q])
    assert table.all() == [of_p, of_q]
    table.drop(of_p)
    assert (of_p in table, of_q in table) == (False, True)
    assert table.all() == [of_q]
