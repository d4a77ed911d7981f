"""The logger that every duty writes to: users configure and search one name."""

import logging

__all__ = ["logger"]

logger = logging.getLogger("aioq.worker")
