"""Shows an app in a browser, and lets those who may steer it: `dashboard` returns the pages as an ASGI application."""

from aioq_web.access import Access as Access
from aioq_web.access import Right as Right
from aioq_web.access import User as User
from aioq_web.dashboard import dashboard as dashboard

__all__ = ["dashboard", "Access", "Right", "User"]
