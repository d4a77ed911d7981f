"""`aioq worker --processes N`: several workers, and a supervisor that keeps them up.

`supervisor` starts them and sees them off, `child` is one of its processes, `verdict` says what
becomes of one that has ended, and `lifeline` is how a worker hears of its supervisor.
"""

from aioq.cli.supervisor.control_pipe import ControlPipe as ControlPipe
from aioq.cli.supervisor.supervisor import Supervisor as Supervisor

__all__ = ["ControlPipe", "Supervisor"]
