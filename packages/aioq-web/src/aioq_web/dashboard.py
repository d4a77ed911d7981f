"""The dashboard as an ASGI application: its routes, and how a request becomes a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

import anyio
from jinja2 import Environment
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from aioq import Aarq
from aioq.clock import cpu_time
from aioq.errors import BrokerUnavailable
from aioq_web.access import Access, Gate, User
from aioq_web.actions import ACTIONS
from aioq_web.actions.order import Done, Order
from aioq_web.environment import ASSETS, STATIC, VERSION, new_environment
from aioq_web.history import Histories
from aioq_web.live import INTERVAL, TIMEOUT, Live
from aioq_web.masking import SECRET_NAMES, Masking
from aioq_web.overviews import Overviews
from aioq_web.pages import PAGES
from aioq_web.reader import reader_of
from aioq_web.reads import SharedReads
from aioq_web.security import COOKIE, SafeHeaders, form_of, token_of
from aioq_web.snapshot import Snapshots
from aioq_web.view import NotFound, Page, View

__all__ = ["dashboard"]

YEAR: Final = 31_536_000

CHANGE_TIMEOUT: Final = 60.0
"""Seconds that a change may take: one of many jobs asks the broker for each of them."""

PageFunction: TypeAlias = Callable[[View], Awaitable[Page]]
ActionFunction: TypeAlias = Callable[[Order], Awaitable[Done]]


def dashboard(
    app: Aarq,
    *,
    access: Access | None = None,
    local_user: User | None = None,
    mask: Iterable[str] = SECRET_NAMES,
) -> Starlette:
    """Return the dashboard of an app as an ASGI application, to be mounted into another one or served alone.

    It connects the app with its first request, and closes nothing. Each page works with what the broker can do, and
    leaves out the rest.

    Args:
        app: The app whose broker is shown and whose crons are explained.
        access: Returns the user of a request with the rights of that user, or None to refuse it. Without it, only
            requests that come from this machine and name it are answered.
        local_user: The user of such requests; by default one without rights, who can only read.
        mask: Parts of names, in any case, whose values in arguments and results are hidden.

    Raises:
        ValueError: Both `access` and `local_user` are given.
    """
    if access is not None and local_user is not None:
        raise ValueError("local_user is for a dashboard without access: with access, that names the users")
    site = Site(app, Gate(access, local_user or User("local")), Masking(mask))
    routes = [Route(path, partial(site.show, page), methods=["GET"]) for path, page in PAGES.items()]
    routes += [Route(path, partial(site.change, action), methods=["POST"]) for path, action in ACTIONS.items()]
    routes.append(Route("/static/{name}", static, methods=["GET"]))
    return Starlette(
        routes=routes,
        middleware=[Middleware(SafeHeaders)],
        exception_handlers={
            HTTPException: site.refuse,
            NotFound: site.not_found,
            BrokerUnavailable: site.away,
            TimeoutError: site.away,
        },
    )


class Site:
    """Answers requests for pages and changes."""

    def __init__(self, app: Aarq, gate: Gate, masking: Masking) -> None:
        self._app = app
        self._gate = gate
        self._masking = masking
        self._snapshots = Snapshots(app)
        self._histories = Histories(app)
        self._overviews = Overviews(app)
        self._reads = SharedReads()
        self._live = Live(VERSION)
        self._environment: Environment = new_environment()

    async def show(self, page: PageFunction, request: Request) -> Response:
        """Answer a request for a page, or for the changes of one."""
        user = await self._user_of(request)
        if "text/event-stream" in request.headers.get("accept", ""):
            return self._live.response(partial(self._render_live, page, request, user))
        with anyio.fail_after(TIMEOUT):
            view = await self._view(request, user)
            shown = await page(view)
        token = token_of(request)
        response = HTMLResponse(self._render(view, shown, token=token, live=False), shown.status)
        if request.cookies.get(COOKIE) != token:
            secure = request.url.scheme == "https"
            response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=secure, path=f"{view.root}/")
        return response

    async def change(self, action: ActionFunction, request: Request) -> Response:
        """Do what a form asks for, and show the page that it belongs to."""
        user = await self._user_of(request)
        form = await form_of(request)
        try:
            with anyio.fail_after(CHANGE_TIMEOUT):
                view = await self._view(request, user)
                done = await action(Order(view=view, form=form))
        finally:
            # Also if it failed: a part of it may be done.
            self._snapshots.forget()
            self._reads.forget()
        return RedirectResponse(done.location, 303)

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answer a request that is not allowed, or not understood."""
        status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "")
        return self._plain(request, status, "Not allowed" if status == 403 else "This did not work", detail)

    async def not_found(self, request: Request, error: Exception) -> Response:
        """Answer a request for something that the broker does not have."""
        return self._plain(request, 404, "Not found", str(error))

    async def away(self, request: Request, error: Exception) -> Response:
        """Answer a request while the broker cannot be reached."""
        return self._plain(request, 503, "The broker did not answer", str(error) or "It did not answer in time.")

    async def _user_of(self, request: Request) -> User:
        user = await self._gate.user_of(request)
        if user is None:
            raise HTTPException(
                403,
                "You may not see this dashboard. Without a rule of its own (dashboard(access=...)) it answers "
                "only requests of the machine that it runs on.",
            )
        return user

    async def _view(self, request: Request, user: User, *, max_age: float = 0.0) -> View:
        root = request.scope.get("root_path", "").rstrip("/")
        return View(
            app=self._app,
            user=user,
            reader=reader_of(request),
            snapshot=await self._snapshots.latest(max_age),
            reads=self._reads,
            max_age=max_age,
            histories=self._histories,
            overviews=self._overviews,
            masking=self._masking,
            root=root,
            path=request.url.path.removeprefix(root) or "/",
            query=request.query_params,
            steps=request.path_params,
        )

    async def _render_live(self, page: PageFunction, request: Request, user: User) -> tuple[str, float]:
        began = cpu_time()
        view = await self._view(request, user, max_age=INTERVAL)
        html = self._render(view, await page(view), token=token_of(request), live=True)
        return html, cpu_time() - began

    def _render(self, view: View, page: Page, *, token: str, live: bool) -> str:
        template = self._environment.get_template(page.template)
        values: dict[str, Any] = {"view": view, "title": page.title, "token": token, "live": live, **page.values}
        return template.render(values)

    def _plain(self, request: Request, status: int, title: str, text: str) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        html = self._environment.get_template("message.html").render(title=title, text=text, root=root)
        return HTMLResponse(html, status)


async def static(request: Request) -> Response:
    """Return a file that pages load."""
    name: str = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404, "there is no such file")
    headers = {"Cache-Control": f"public, max-age={YEAR}, immutable"}
    return Response(ASSETS[name], media_type=STATIC[name], headers=headers)
