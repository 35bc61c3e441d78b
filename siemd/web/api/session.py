"""Logging in and out, who one is, and giving the password again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import JSONBody
from msgspec import Meta

from siemd.web.access.login import CodeWanted, Denied
from siemd.web.access.passwords import TooBusy
from siemd.web.access.roles import Right, rights_of
from siemd.web.access.throttle import Throttled
from siemd.web.cookies import clear_cookie, set_cookie
from siemd.web.problems import Refused
from siemd.web.services import Caller, Services, TheServices, actor, client

Password = Annotated[str, Meta(min_length=1, max_length=256)]
Code = Annotated[str, Meta(max_length=40, description="Of the second factor: six digits, or a recovery code.")]


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Name and password; the code when the account has a second factor."""

    name: Annotated[str, Meta(min_length=1, max_length=191)]
    password: Password
    code: Code = ""


class StepUpRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The password once more, and the code when there is a second factor."""

    password: Password
    code: Code = ""


class Me(msgspec.Struct):
    """Who one is, and what one may do. fresh: the password was given a short while ago."""

    user_id: str
    name: str
    role: str
    rights: list[str]
    kind: str
    fresh: bool


@post("/api/v1/session", opt={"right": Right.PUBLIC}, tags=["session"])
async def log_in(data: JSONBody[LoginRequest], request: Request[Any, Any, Any], services: TheServices) -> Response[Me]:
    """Log in: the answer sets the session's cookie. 401 says `code-required` when the second factor is wanted."""
    who = actor(request, name=data.name.strip().lower()[:64])
    agent = request.headers.get("user-agent", "")
    async with refusals():
        token, user = await services.login.login(who, data.name, data.password, data.code, agent)
    rights = sorted(str(right) for right in rights_of(user.role))
    me = Me(user.user_id, user.name, user.role, rights, "session", fresh=True)
    return Response(me, status_code=201, headers={"Set-Cookie": session_cookie(request, services, token)})


@get("/api/v1/session", opt={"right": Right.SELF}, tags=["session"])
async def who_am_i(principal: Caller, services: TheServices) -> Me:
    """Who one is, and what one may do."""
    return Me(
        principal.user_id,
        principal.name,
        principal.role,
        sorted(str(right) for right in principal.rights),
        principal.kind,
        fresh=services.sessions.is_fresh(principal),
    )


@delete("/api/v1/session", opt={"right": Right.OWN_ACCOUNT}, status_code=204, tags=["session"])
async def log_out(request: Request[Any, Any, Any], principal: Caller, services: TheServices) -> Response[None]:
    """Log out: this session ends."""
    async with services.database.transaction() as transaction:
        await services.sessions.end(transaction, principal.user_id, principal.session_id)
        await services.audit.append(transaction, actor(request, principal), "logout", principal.name)
    return Response(None, status_code=204, headers={"Set-Cookie": clear_cookie(client(request).scheme)})


@post("/api/v1/session/step-up", opt={"right": Right.OWN_ACCOUNT}, status_code=204, tags=["session"])
async def step_up(
    data: JSONBody[StepUpRequest], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """Give the password again, as sensitive changes want it."""
    async with refusals():
        await services.login.step_up(actor(request, principal), principal, data.password, data.code)


class refusals:  # noqa: N801 - used like a function
    """What a login raises, as problems. Every wrong way reads the same, so that nobody learns which part was right."""

    async def __aenter__(self) -> None:
        """Nothing to prepare."""

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Answer with a problem."""
        match error:
            case Denied():
                raise Refused(401, "name, password or code is wrong") from None
            case CodeWanted():
                raise Refused(401, "the code of the second factor is wanted", kind="code-required") from None
            case Throttled():
                detail = f"too many failures; the next try is taken in {error.retry_s} s"
                raise Refused(429, detail, headers={"Retry-After": str(error.retry_s)}) from None
            case TooBusy():
                raise Refused(
                    503, "siemd checks many passwords now; come again", headers={"Retry-After": "2"}
                ) from None


def session_cookie(request: Request[Any, Any, Any], services: Services, token: str) -> str:
    """The Set-Cookie header of a new session."""
    return set_cookie(client(request).scheme, token, int(services.web.sessions.absolute_s))


HANDLERS = [log_in, who_am_i, log_out, step_up]
