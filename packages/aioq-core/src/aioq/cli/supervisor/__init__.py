"""`aioq worker --processes N`: a supervisor of several worker processes.

`supervisor` starts and stops the processes, `child` is one of them, `restart_policy` decides what to do after one has
ended, and `control_pipe` carries the supervisor's orders to a worker.
"""

from aioq.cli.supervisor.control_pipe import ControlPipe as ControlPipe
from aioq.cli.supervisor.supervisor import Supervisor as Supervisor

__all__ = ["ControlPipe", "Supervisor"]
