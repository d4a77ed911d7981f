"""`aioq broker migrate`: makes or changes the schema of a broker's store."""

from __future__ import annotations

import argparse

import anyio

from aioq.cli.arguments import Commands, add_json, add_target, add_timeout, timeout_of
from aioq.cli.exit_codes import Exit
from aioq.cli.find_app import load_target
from aioq.cli.output import print_json, print_out
from aioq.conformance import check_broker, supports
from aioq.errors import BrokerUnavailable
from aioq.protocols import Broker, Migratable
from aioq.serialization.failure import one_line

__all__ = ["migrate", "register"]


def register(commands: Commands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "migrate",
        help="make or change the schema of a broker's store",
        description="Make or change the schema of a broker's store, as the installed release of the broker needs it; "
        "a broker without a schema needs nothing. Running it again does nothing. With --check nothing is changed, "
        f"and the exit code is {Exit.FAILED} if a migration is missing.",
    )
    add_target(parser, optional=True)
    parser.add_argument("--check", action="store_true", help="show what is missing, and change nothing")
    add_timeout(parser, 600.0)
    add_json(parser)
    parser.set_defaults(run=migrate)


def migrate(arguments: argparse.Namespace) -> int:
    """Migrate the store of a broker, or show what that would do."""
    timeout = timeout_of(arguments, "broker migrate")
    broker = load_target(arguments.target, "broker", arguments.namespace).broker
    steps = anyio.run(_migrate, broker, arguments.check, timeout)
    if arguments.json:
        print_json({"check": arguments.check, "migrations": steps})
    elif steps:
        print_out("\n".join(f"{'missing' if arguments.check else 'done'}: {one_line(step)}" for step in steps))
    else:
        print_out(f"{broker!r} needs no migration")
    return Exit.FAILED if steps and arguments.check else Exit.OK


async def _migrate(broker: Broker, check: bool, timeout: float) -> list[str]:
    """Return the migrations that were done, or that are missing.

    Raises:
        BrokerUnavailable: The store cannot be reached, or `timeout` seconds have passed.
        BrokerConfigError: The broker does not conform to this version of `aioq.protocols`.
    """
    check_broker(broker)
    # Not connected: `connect` raises if a migration is missing.
    schema = broker
    if not supports(schema, Migratable):
        return []
    with anyio.move_on_after(timeout):
        try:
            return await (schema.missing_migrations() if check else schema.migrate())
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(1):
                await broker.close()
    raise BrokerUnavailable(f"{broker!r} did not answer within {timeout:g} s")
