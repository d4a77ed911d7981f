"""`aioq demo`: crons, jobs, a retry and a delay, live, on the embedded broker."""

from aioq.cli.demo.command import register as register

__all__ = ["register"]
