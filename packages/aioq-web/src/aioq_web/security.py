"""Protects the pages: headers, forged requests, oversized bodies."""

from __future__ import annotations

import hmac
import secrets
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import ImmutableMultiDict, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["COOKIE", "MAX_BODY", "MAX_FIELDS", "SafeHeaders", "form_of", "token_of"]

COOKIE: Final = "aioq_token"
"""The cookie whose value each form repeats. A page of another site can neither read nor set it."""

MAX_BODY: Final = 65_536
"""Bytes of a form."""

MAX_FIELDS: Final = 1_000

POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Pages load nothing from other hosts, run no script in their text, and cannot be framed."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SafeHeaders:
    """Adds the headers of `HEADERS` to each response of an ASGI application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)


def token_of(request: Request) -> str:
    """Return the token of a reader's browser, or a new one if it has none."""
    known = request.cookies.get(COOKIE, "")
    return known if len(known) == 43 and known.isascii() else secrets.token_urlsafe(32)


async def form_of(request: Request) -> ImmutableMultiDict[str, str]:
    """Return the fields of a form that a page of this dashboard has sent.

    Raises:
        HTTPException: It comes from another site, has no valid token, or is too large.
    """
    _refuse_other_sites(request)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"a form may have {MAX_BODY:,} bytes")
    try:
        fields = ImmutableMultiDict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
    given, known = fields.get("token", ""), request.cookies.get(COOKIE, "")
    if not known or not hmac.compare_digest(given.encode(), known.encode()):
        raise HTTPException(403, "this form is out of date: go back, reload the page and try again")
    return fields


def _refuse_other_sites(request: Request) -> None:
    site = request.headers.get("sec-fetch-site")
    if site not in (None, "same-origin"):
        raise HTTPException(403, "another site has sent this form")
    origin = request.headers.get("origin")
    # Browsers send `null` if the policy of the referrer hides the origin.
    if origin not in (None, "null") and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise HTTPException(403, "another site has sent this form")
