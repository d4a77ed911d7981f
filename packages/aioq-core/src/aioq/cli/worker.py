"""`aioq worker`: runs an app's jobs and fires its crons."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final, cast, get_args

import anyio

from aioq.app import Aarq
from aioq.cli.arguments import Commands, add_app, add_log_level
from aioq.cli.broker_access import is_embedded
from aioq.cli.exit_codes import CommandError, Exit
from aioq.cli.find_app import load_app
from aioq.cli.health.option import add_health, check_health, open_port
from aioq.cli.live_line import LiveLine, live_handler
from aioq.cli.logs import FORMATS, configure_logging
from aioq.cli.process import (
    exit_if_threads_hang,
    exit_now,
    note_earlier_threads,
    own_command_line,
    task_thread_pool,
)
from aioq.cli.reload import run_and_reload
from aioq.cli.signals import IGNORED, SignalReceiver, ignore
from aioq.cli.supervisor import ControlPipe, Supervisor
from aioq.errors import TooManyStuck
from aioq.worker import Worker
from aioq.worker.job_log import LogJobs

__all__ = ["register"]

MAX_PROCESSES: Final = 256

logger = logging.getLogger("aioq.cli")


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "worker",
        help="run an app's jobs and fire its crons",
        description="Run the jobs of an app and fire its crons, until stopped.",
        epilog="SIGTERM, SIGHUP or Ctrl-C stops claiming jobs and lets running ones end, within --grace; a second one "
        "cancels running jobs and releases them. SIGQUIT writes the stacks of all threads and tasks.",
    )
    add_app(parser)
    parser.add_argument(
        "-q", "--queue", dest="queues", action="append", metavar="QUEUE[=WEIGHT]",
        help="claim jobs from this queue; may be repeated, the first has precedence; all queues of the app by default. "
        "With a weight for each, as in -q critical=6 -q low=1, busy queues share the slots by their weights",
    )  # fmt: skip
    parser.add_argument(
        "-c",
        "--concurrency",
        type=int,
        default=10,
        metavar="N",
        help="jobs to run at the same time; %(default)s by default",
    )
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="worker processes; if several, a supervisor restarts those that end; %(default)s by default",
    )  # fmt: skip
    parser.add_argument("--child", metavar="N", help=argparse.SUPPRESS)  # how the supervisor starts them
    parser.add_argument(
        "--lease", type=float, default=30.0, metavar="SECONDS",
        help="seconds until others take over the jobs of this worker, if it crashes; %(default)g by default",
    )  # fmt: skip
    parser.add_argument(
        "--max-block", type=float, default=60.0, metavar="SECONDS",
        help="seconds for which jobs keep their leases while a task blocks the event loop; %(default)g by default",
    )  # fmt: skip
    parser.add_argument(
        "--grace", type=float, default=25.0, metavar="SECONDS",
        help="seconds for running jobs to end after a stop; %(default)g by default",
    )  # fmt: skip
    parser.add_argument(
        "--max-stuck", type=int, metavar="N",
        help="stuck slots with which the worker leaves, for a supervisor to start another: slots of tasks that ignore "
        f"their timeout or cancellation for 5 s; the exit code is then {Exit.STUCK}; all slots by default",
    )  # fmt: skip
    parser.add_argument(
        "--max-jobs", type=int, metavar="N",
        help="jobs after which the worker ends, when they have ended; with --processes another one is started",
    )  # fmt: skip
    parser.add_argument(
        "--burst",
        action="store_true",
        help="exit as soon as no job is due or running, or the broker is away for a lease; fire no crons",
    )
    parser.add_argument(
        "--reload", action="store_true",
        help="for development: start again when a Python file below the current folder changes; running jobs are given "
        "back",
    )  # fmt: skip
    parser.add_argument(
        "--loop", choices=("asyncio", "uvloop"), default="asyncio", help="event loop to use; %(default)s by default"
    )
    add_health(parser)
    add_log_level(parser)
    parser.add_argument(
        "--log-format", choices=FORMATS,
        help="lines of text, or of JSON with all ids; text by default",
    )  # fmt: skip
    parser.add_argument(
        "--log-jobs", choices=get_args(LogJobs), default="auto",
        help="jobs whose end is a line in the log; auto, the default, is all, but one line for a second in which more "
        "than 100 end; failed are those that did not complete",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run a worker, or a supervisor of several, until it is stopped."""
    # Before the import of the app, which may take long.
    if arguments.loop == "uvloop" and find_spec("uvloop") is None:
        raise CommandError('uvloop is not installed; run: pip install "aioq-core[uvloop]"', Exit.CONFIG)
    if not 1 <= arguments.processes <= MAX_PROCESSES:
        raise CommandError(f"worker: --processes must be between 1 and {MAX_PROCESSES}, got {arguments.processes}")
    check_health(arguments)
    if arguments.reload:
        configure_logging(arguments.log_level, arguments.log_format)
        return run_and_reload(_reloaded(cast("list[str]", arguments.words)))
    if arguments.child is not None:
        return _run_here(arguments, ControlPipe.from_stdin(), [])
    port = open_port(arguments)
    if arguments.processes == 1:
        return _run_here(arguments, None, port)
    configure_logging(arguments.log_level, arguments.log_format)
    if not port:
        return anyio.run(_supervisor(arguments).run)
    from aioq.cli.health.start import run_supervisor  # noqa: PLC0415 - needs an extra

    return anyio.run(run_supervisor, partial(_supervisor, arguments), port)


def _reloaded(words: Sequence[str]) -> list[str]:
    """Return the command line of the worker that is started again and again: its jobs do not hold up a change."""
    return own_command_line(words, [*(word for word in words if word != "--reload"), "--grace", "0"])


def _supervisor(
    arguments: argparse.Namespace,
    socket_of: Callable[[int], Path] | None = None,
    environment: Mapping[str, str] | None = None,
    on_ended: Callable[[int], None] = lambda _: None,
) -> Supervisor:
    words = cast("list[str]", arguments.words)
    commands: list[list[str]] = []
    for n in range(1, arguments.processes + 1):
        health = ["--health-socket", str(socket_of(n))] if socket_of else []
        commands.append(own_command_line(words, [words[0], "--child", str(n), *health, *words[1:]]))
    return Supervisor(
        commands, grace=arguments.grace, burst=arguments.burst, environment=environment, on_ended=on_ended
    )


def _run_here(arguments: argparse.Namespace, pipe: ControlPipe | None, port: Sequence[socket.socket]) -> int:
    note_earlier_threads()
    ignore(IGNORED)
    # Before the log is set up: an app that configures logging does so when it is imported, and keeps its handlers.
    app = load_app(arguments.app)
    configure_logging(arguments.log_level, arguments.log_format)
    worker = _worker(app, arguments)
    _warn(app, worker.queues)
    # The processes of a supervisor share one terminal: each would clear the line of the others.
    handler = live_handler(sys.stderr, os.environ) if pipe is None else None
    live = LiveLine(worker, handler, os.environ) if handler else None
    health = _health(worker, port, arguments.health_socket)
    anyio.run(_work, worker, pipe, live, health, backend_options={"use_uvloop": arguments.loop == "uvloop"})
    code = _code(worker)
    if code == Exit.OK and pipe is not None and worker.has_run_max_jobs:
        code = Exit.MAX_JOBS
    exit_if_threads_hang(code)  # their jobs were settled or released
    return code


def _code(worker: Worker) -> Exit:
    return Exit.STUCK if worker.too_many_stuck else Exit.OK


def _worker(app: Aarq, arguments: argparse.Namespace) -> Worker:
    queues = _queues(arguments.queues)
    try:
        return Worker(
            app,
            queues=queues,
            concurrency=arguments.concurrency,
            lease=arguments.lease,
            max_block=arguments.max_block,
            grace=arguments.grace,
            max_stuck=arguments.max_stuck,
            max_jobs=arguments.max_jobs,
            log_jobs=arguments.log_jobs,
            burst=arguments.burst,
            handle_signals=False,  # `SignalReceiver` does, also while the event loop is blocked
        )
    except (TypeError, ValueError) as error:
        raise CommandError(f"worker: {error}") from error


def _queues(words: Sequence[str] | None) -> Sequence[str] | dict[str, int] | None:
    """Return the queues of `-q`, with their weights if they have any.

    Raises:
        CommandError: Some have a weight and others have none, a queue has two, or a weight is no number.
    """
    if not any("=" in word for word in words or ()):
        return words
    weights: dict[str, int] = {}
    for queue, sign, text in (word.partition("=") for word in words or ()):
        if not sign:
            raise CommandError(f"worker: queue {queue} has no weight, and others have one; write -q {queue}=1")
        if queue in weights:
            raise CommandError(f"worker: queue {queue} is given twice; give it one weight")
        if not text.isdecimal():
            raise CommandError(f"worker: the weight of queue {queue} must be a whole number, got {text!r}")
        weights[queue] = int(text)
    return weights


def _health(worker: Worker, port: Sequence[socket.socket], path: str | None) -> AbstractAsyncContextManager[None]:
    """Return what serves the health of the worker while it is entered."""
    if not port and path is None:
        return nullcontext()
    from aioq.cli.health.start import serve_process, serve_worker  # noqa: PLC0415 - needs an extra

    return serve_worker(worker, port) if path is None else serve_process(worker, Path(path))


async def _work(
    worker: Worker, pipe: ControlPipe | None, live: LiveLine | None, health: AbstractAsyncContextManager[None]
) -> None:
    orders = pipe.calling(worker.stop) if pipe else SignalReceiver(worker.stop, forced=True).receiving()
    with task_thread_pool():
        async with orders, health, worker.app:
            # Beside the worker, which does not return as long as such tasks run.
            beside = [asyncio.create_task(_end_without_tasks(worker))]
            if live is not None:
                beside.append(asyncio.create_task(live.run()))
            try:
                with suppress(TooManyStuck):  # it is in the log
                    await worker.run()
            finally:
                for task in beside:
                    task.cancel()


async def _end_without_tasks(worker: Worker) -> None:
    """Exit as soon as only tasks that ignore their cancellation are still running."""
    await worker.wait_outstayed()
    logger.warning(
        "exiting although tasks are still running: they ignore their cancellation, and their jobs were released",
        extra={"event": "exit_forced"},
    )
    exit_now(_code(worker))


def _warn(app: Aarq, queues: tuple[str, ...]) -> None:
    """Log what is probably a mistake."""
    if is_embedded(app.broker):
        logger.warning(
            "the app uses the memory broker: this worker fires crons, but only runs jobs that its own process "
            "enqueues; set AIOQ_BROKER_URL, or write Aarq(broker=...), to share jobs between processes",
            extra={"event": "memory_broker_used"},
        )
    if not app.tasks and not app.crons:
        logger.warning(
            "the app has no tasks and no crons: import the modules that define them in the module of the app",
            extra={"event": "app_empty"},
        )
    elif unknown := sorted(set(queues) - set(app.queues)):
        logger.warning(
            "no task or cron of the app is on queue %s (its queues: %s)",
            ", ".join(unknown),
            ", ".join(app.queues),
            extra={"event": "queue_unused"},
        )
