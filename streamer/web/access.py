"""Who may see what: this machine, whoever has the token, or whom a proxy lets in; and what browsers must not do."""

from __future__ import annotations

import base64
import hmac

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from streamer.config import Http
from streamer.units import is_local

SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

OPEN = {"/healthz", "/readyz", "/callbacks/{source}", "/callbacks/{source}/{secret}"}
"""Routes that anybody may ask: probes get no details, and callbacks have secrets of their own."""


def trusted(request: web.Request, http: Http) -> bool:
    """May whoever asks see everything?"""
    if http.token is not None:
        return _knows(request.headers.get(hdrs.AUTHORIZATION, ""), http.token.get_secret_value())
    return http.behind_proxy or _names_this_machine(request)


def _knows(header: str, token: str) -> bool:
    """Is it the token: as a bearer's, or as the password of a browser's log-in under any name?"""
    kind, _, given = header.partition(" ")
    secret = given.strip().encode("utf-8", "replace")
    if kind.lower() == "basic":
        try:
            secret = base64.b64decode(secret, validate=True).partition(b":")[2]
        except ValueError:
            return False
    elif kind.lower() != "bearer":
        return False
    return hmac.compare_digest(secret, token.encode())


def _names_this_machine(request: web.Request) -> bool:
    """A page elsewhere whose name was made to lead here asks under that name (DNS rebinding)."""
    host = request.headers.get(hdrs.HOST, "")
    name, colon, port = host.rpartition(":")
    return is_local((name if colon and port.isdigit() else host).strip("[]"))


def guard(http: Http) -> Middleware:
    """The middleware: refuses whom `http` does not let in, and gives every answer the security headers."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            resource = request.match_info.route.resource
            if (resource is None or resource.canonical not in OPEN) and not trusted(request, http):
                raise _refusal(http)
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(SECURITY)
            raise
        if not response.prepared:
            response.headers.update(SECURITY)
        return response

    return guarded


def _refusal(http: Http) -> web.HTTPException:
    if http.token is not None:
        return web.HTTPUnauthorized(
            text="the token is missing or wrong: send it as Bearer, or as the password of a log-in\n",
            headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="streamer", charset="UTF-8"'},
        )
    return web.HTTPMisdirectedRequest(
        text="this is not the name of this machine: ask 127.0.0.1, or configure http.token or http.behind_proxy\n"
    )
