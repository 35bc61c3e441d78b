"""The API as one application: every resource, the one guard before all of them, and the shell around it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from litestar import Litestar, Request
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import HTTPException, WebSocketException
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import HTTPRoute, WebSocketRoute
from litestar.types import ControllerRouterHandler

from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.disconnect import EndsWithClient
from siemd.web.origin import Host, is_same_origin
from siemd.web.problems import Refused, handle
from siemd.web.services import Connection, Services, client, token_header
from siemd.web.shell import Shell

Route = tuple[str, str, BaseRouteHandler]  # path, method (or WEBSOCKET), handler


def create_app(services: Services, handlers: Sequence[ControllerRouterHandler]) -> Litestar:
    """The application. Raises ValueError for a route that does not say which right it wants."""

    def provide_services() -> Services:
        return services

    def provide_principal(request: Request[Any, Any, Any]) -> Principal:
        return principal_of(request)

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        await authorize(services, connection, handler)

    app = Litestar(
        list(handlers),
        guards=[guard],
        dependencies={
            "services": Provide(provide_services, sync_to_thread=False),
            "principal": Provide(provide_principal, sync_to_thread=False),
        },
        exception_handlers={HTTPException: handle, Exception: handle},
        openapi_config=None,  # openapi.py serves it, with what Litestar can't know
        on_app_init=[_settle],
        request_max_body_size=int(services.web.limits.body_bytes),
        debug=False,
    )
    app.state["services"] = services
    app.state["methods"] = _methods(app)
    undecided = [f"{method} {path}" for path, method, handler in routes(app) if not _right(handler)]
    if undecided:
        raise ValueError(f"these routes do not say which right they want (opt={{'right': …}}): {', '.join(undecided)}")
    return app


def create_asgi(services: Services, handlers: Sequence[ControllerRouterHandler]) -> Shell:
    """The application as the server runs it."""
    return Shell(EndsWithClient(create_app(services, handlers)), services.web)  # type: ignore[arg-type]


def routes(app: Litestar) -> Iterator[Route]:
    """Every route; OPTIONS, which Litestar adds to each and which tells methods and nothing else, is left out."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _model) in route.route_handler_map.items():
                if method != "OPTIONS":
                    yield route.path_format, method, handler
        elif isinstance(route, WebSocketRoute):
            yield route.path_format, "WEBSOCKET", route.route_handler
        else:
            yield route.path, "ASGI", route.route_handler


def right_of(handler: BaseRouteHandler) -> Right:
    """The right that a route wants."""
    right = _right(handler)
    assert right is not None
    return right


async def authorize(services: Services, connection: Connection, handler: BaseRouteHandler) -> None:
    """The one guard: find out who asks, and refuse who may not; it runs before anything of a request is read."""
    scope: Any = connection.scope
    socket = scope["type"] == "websocket"
    if not socket and scope["method"] == "OPTIONS":
        return
    try:
        if socket and not is_own_page(connection):
            raise Refused(403, "a WebSocket must be opened by siemd's own pages, or with an API token")
        principal = await _authorized(services, connection, handler)
    except Refused as refused:
        if socket:
            raise WebSocketException(detail=refused.detail[:100], code=4000 + refused.status_code) from None
        raise
    connection.scope["siemd_principal"] = principal  # type: ignore[typeddict-unknown-key]


async def _authorized(services: Services, connection: Connection, handler: BaseRouteHandler) -> Principal | None:
    right = _right(handler)
    if right is Right.PUBLIC:
        return None
    principal = await services.identify(connection)
    if principal is None:
        raise Refused(401, "log in, or send an API token", headers={"WWW-Authenticate": "Bearer"})
    if right is None or not principal.may(right):
        who = f"the role {principal.role}" if principal.kind == "session" else "this token"
        raise Refused(403, f"{who} does not have the right {right}")
    if handler.opt.get("step_up") and not services.sessions.is_fresh(principal):
        raise Refused(403, "give your password again (POST /api/v1/session/step-up)", kind="step-up-required")
    return principal


def is_own_page(connection: Connection) -> bool:
    """Whether a WebSocket is opened by siemd's own page, or by a program with a token."""
    if token_header(connection) is not None:
        return True
    host: Host = connection.scope["siemd_host"]  # type: ignore[typeddict-item]
    return is_same_origin(connection.headers.get("origin", ""), client(connection).scheme, host)


async def is_still_allowed(services: Services, connection: Connection, *rights: Right) -> bool:
    """Whether who opened a connection that stays (a WebSocket) may still do so: ask every few seconds."""
    principal = await services.identify(connection, touch=False)
    return principal is not None and all(map(principal.may, rights))


def principal_of(connection: Connection) -> Principal:
    """Who asks; only in handlers whose right is not PUBLIC."""
    principal = connection.scope.get("siemd_principal")
    if not isinstance(principal, Principal):
        raise Refused(401, "log in, or send an API token", headers={"WWW-Authenticate": "Bearer"})
    return principal


def _methods(app: Litestar) -> list[tuple[re.Pattern[str], str]]:
    """Which methods each path takes, for who tries another."""
    return [
        (re.compile(re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(route.path_format))), ", ".join(sorted(route.methods)))
        for route in app.routes
        if isinstance(route, HTTPRoute)
    ]


def _right(handler: BaseRouteHandler) -> Right | None:
    right = handler.opt.get("right")
    return right if isinstance(right, Right) else None


def _settle(config: AppConfig) -> AppConfig:
    """Litestar's own log is not used: problems.py says what went wrong, once."""
    config.logging_config = None
    return config
