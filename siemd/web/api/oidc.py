"""Login by an identity provider: to it, and back from it."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from litestar import Request, Response, get
from litestar.exceptions import HTTPException
from litestar.params import QueryParameter

from siemd.errors import UserError
from siemd.logger import get_logger
from siemd.web.access.roles import Right
from siemd.web.access.secrets import new_secret
from siemd.web.api.session import session_cookie
from siemd.web.cookies import OIDC_NAMES, oidc_cookie, read_cookie
from siemd.web.problems import Refused, handle
from siemd.web.services import Services, TheServices, actor, client

if TYPE_CHECKING:
    from siemd.web.access.oidc import Provider

PUBLIC: dict[str, Any] = {"right": Right.PUBLIC}
CALLBACK = "/api/v1/oidc/callback"


class OidcState(msgspec.Struct):
    """Whether people can log in by an identity provider; then `GET /api/v1/oidc/login` begins it."""

    enabled: bool


@get("/api/v1/oidc", opt=PUBLIC, tags=["session"], sync_to_thread=False)
def show_oidc(services: TheServices) -> OidcState:
    """Whether there is a login by an identity provider."""
    return OidcState(bool(services.web.oidc.issuer))


def tell(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """A person, whom a link brought here, reads on the login page what went wrong; a program gets the problem."""
    problem = handle(request, error)
    if "text/html" not in request.headers.get("accept", ""):
        return problem
    why = "oidc-name" if isinstance(error, UserError) else getattr(error, "kind", "")
    base_path = request.app.state["services"].web.base_path
    return Response(None, status_code=303, headers={"Location": f"{base_path}/login?failed={why or 'oidc'}"})


TOLD: Any = {HTTPException: tell, Exception: tell}


@get("/api/v1/oidc/login", opt=PUBLIC, tags=["session"], status_code=303, exception_handlers=TOLD)
async def begin_oidc(request: Request[Any, Any, Any], services: TheServices) -> Response[None]:
    """Send the browser to the identity provider."""
    provider, secret = _provider(services), new_secret()
    try:
        target = await provider.begin(secret, _redirect_uri(request, services))
    except UserError as failed:
        raise _failed(failed) from None
    cookie = oidc_cookie(client(request).scheme, secret)
    return Response(None, status_code=303, headers={"Location": target}, cookies=[cookie])


@get(CALLBACK, opt=PUBLIC, tags=["session"], status_code=303, exception_handlers=TOLD)
async def finish_oidc(
    request: Request[Any, Any, Any],
    services: TheServices,
    code: Annotated[str, QueryParameter(max_length=2048)] = "",
    given: Annotated[str, QueryParameter(name="state", max_length=200)] = "",
    error: Annotated[str, QueryParameter(max_length=200)] = "",
) -> Response[None]:
    """Come back from the identity provider: a session for whom it vouches and a group of whom is known."""
    provider, scheme = _provider(services), client(request).scheme
    from siemd.web.access.oidc import derive  # needs an extra, which is there when there is a provider

    secret = read_cookie(request.headers.get("cookie", ""), OIDC_NAMES[scheme])
    if not secret or not hmac.compare_digest(given.encode(), derive(secret, "state").encode()):
        raise Refused(403, "this login was not begun here; begin again", kind="oidc-again")
    if error or not code:
        raise Refused(403, "the identity provider did not let you in", kind="oidc-refused")
    try:
        claims = await provider.finish(secret, code, _redirect_uri(request, services))
    except UserError as failed:
        raise _failed(failed) from None
    who = actor(request, name=claims.name[:64])
    if claims.role is None:
        await services.audit.record(who, "login.failed", claims.name[:64], by="oidc")
        text = "none of your groups at the identity provider may enter siemd (web.oidc.roles)"
        raise Refused(403, text, kind="oidc-no-group")
    user = await services.users.from_provider(who, claims.subject, claims.name, claims.role)
    if user.disabled:
        await services.audit.record(who, "login.failed", user.name, by="oidc")
        raise Refused(403, "this account is switched off", kind="oidc-account-off")
    agent = request.headers.get("user-agent", "")
    token = await services.login.vouched(who, user, agent)
    headers = {"Location": f"{services.web.base_path}/", "Set-Cookie": session_cookie(request, services, token)}
    return Response(None, status_code=303, headers=headers, cookies=[oidc_cookie(scheme, "")])


def _failed(error: UserError) -> Refused:
    get_logger("siemd.web").warning("oidc.failed", reason=error.message, hint=error.hint)
    return Refused(502, error.message, kind="oidc-provider")


def _provider(services: Services) -> Provider:
    if services.provider is None:
        raise Refused(404, "there is no login by an identity provider (web.oidc)")
    return services.provider


def _redirect_uri(request: Request[Any, Any, Any], services: Services) -> str:
    """Where the provider sends the browser back to: this server as the browser reached it, which it must know."""
    host = request.headers["host"]  # the shell has seen to it that it is one of ours
    return f"{client(request).scheme}://{host}{services.web.base_path}{CALLBACK}"


HANDLERS = [show_oidc, begin_oidc, finish_oidc]
