"""F15: a proxy cuts the connection instead of passing on every 25th reply."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from tests.access import as_user
from tests.chaos.cutter import Cutter
from tests.chaos.fleet import Seat
from tests.chaos.load import load_of
from tests.chaos.producer import NAMESPACE
from tests.chaos.stage import begin_server, staged
from tests.chaos.verdict import Verdict, at_least, at_most

__all__ = ["run"]

EVERY = 25
WORKERS = 2


def run(full: bool, seed: int, folder: Path) -> list[Verdict]:
    """Let two workers reach the server by the proxy only."""
    load = load_of(full)
    with ExitStack() as stack:
        server = begin_server(stack)
        cutter = stack.enter_context(Cutter(server.socket, EVERY))
        seats = [Seat(load.arguments()) for _ in range(WORKERS)]
        stage = stack.enter_context(staged(folder, seats, server=server, worker_url=as_user(cutter.url, NAMESPACE)))
        stage.fleet.start()
        stage.enqueue("nap", load.jobs, load.nap)
        outcome = stage.finish(patience=load.seconds * 5 + 30)
    bars = [
        # A claim whose answer was lost is repeated with its request id, so that no lease runs out.
        at_most("ran twice", outcome.account.twice, cutter.cuts),
        at_least("cuts", cutter.cuts, 2),
    ]
    return [outcome.verdict("F15", f"every {EVERY}th of two workers", seed=seed, bars=bars, cuts=cutter.cuts)]
