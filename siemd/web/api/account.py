"""One's own account: password, sessions and second factor."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from siemd.web.access.passwords import check_password
from siemd.web.access.principal import Principal
from siemd.web.access.roles import Right
from siemd.web.access.sessions import Session
from siemd.web.access.totp import otpauth_uri
from siemd.web.access.users import User
from siemd.web.api.session import Code, Password, refusals, session_cookie
from siemd.web.problems import Refused, not_found
from siemd.web.services import Caller, Services, TheServices, actor

OWN = {"right": Right.OWN_ACCOUNT}
SENSITIVE = {"right": Right.OWN_ACCOUNT, "step_up": True}


class PasswordChange(msgspec.Struct, forbid_unknown_fields=True):
    """The password now, the next one, and the code when there is a second factor."""

    current: Password
    new: Password
    code: Code = ""


class SessionView(msgspec.Struct):
    """One of one's sessions. current: the one that asks."""

    session: Session
    current: bool


class TotpState(msgspec.Struct):
    """Whether there is a second factor, and how many recovery codes are left."""

    enabled: bool
    recovery_codes_left: int


class TotpSecret(msgspec.Struct):
    """What an authenticator needs; shown once. uri: what a QR code holds."""

    secret: str
    uri: str


class TotpCode(msgspec.Struct, forbid_unknown_fields=True):
    """A code that shows that the authenticator has the secret."""

    code: Annotated[str, Meta(min_length=6, max_length=16)]


class RecoveryCodes(msgspec.Struct):
    """Codes that are good once each when the authenticator is lost; shown once."""

    recovery_codes: list[str]


@post("/api/v1/account/password", opt=OWN, status_code=204, tags=["account"])
async def change_password(
    data: JSONBody[PasswordChange], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> Response[None]:
    """Change one's password: every session ends, and this client gets a new one."""
    who = actor(request, principal)
    check_password(data.new, principal.name, services.web.sessions.password_length)
    async with refusals():
        await services.login.step_up(who, principal, data.current, data.code)
        hashed = await services.passwords.hash(data.new)
    await services.users.set_password(who, await _user(services, principal), hashed)
    async with services.database.transaction() as transaction:
        agent = request.headers.get("user-agent", "")
        token = await services.sessions.begin(transaction, principal.user_id, who.address, agent)
    return Response(None, status_code=204, headers={"Set-Cookie": session_cookie(request, services, token)})


@get("/api/v1/account/sessions", opt=OWN, tags=["account"])
async def list_sessions(principal: Caller, services: TheServices) -> list[SessionView]:
    """One's sessions, the one used last first."""
    found = await services.sessions.of_user(principal.user_id)
    return [SessionView(session, session.session_id == principal.session_id) for session in found]


@delete("/api/v1/account/sessions/{session_id:str}", opt=OWN, status_code=204, tags=["account"])
async def end_session(
    session_id: FromPath[str], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> None:
    """End one of one's sessions."""
    async with services.database.transaction() as transaction:
        if not await services.sessions.end(transaction, principal.user_id, session_id):
            raise not_found("session")
        await services.audit.append(transaction, actor(request, principal), "session.ended", principal.name)


@delete("/api/v1/account/sessions", opt=OWN, status_code=204, tags=["account"])
async def end_other_sessions(request: Request[Any, Any, Any], principal: Caller, services: TheServices) -> None:
    """End every session of one's own but this one."""
    async with services.database.transaction() as transaction:
        ended = await services.sessions.end_all(transaction, principal.user_id, principal.session_id)
        await services.audit.append(
            transaction, actor(request, principal), "session.ended", principal.name, sessions=ended
        )


@get("/api/v1/account/totp", opt=OWN, tags=["account"])
async def show_totp(principal: Caller, services: TheServices) -> TotpState:
    """Whether there is a second factor."""
    user = await _user(services, principal)
    return TotpState(bool(user.totp_secret), await services.factors.codes_left(user.user_id))


@post("/api/v1/account/totp", opt=SENSITIVE, status_code=200, tags=["account"])
async def enrol_totp(principal: Caller, services: TheServices) -> TotpSecret:
    """Begin with a second factor: a new secret, in use when it is confirmed."""
    user = await _user(services, principal)
    secret = await services.factors.enrol(user)
    return TotpSecret(secret, otpauth_uri(secret, user.name, services.config.host_name()))


@post("/api/v1/account/totp/confirm", opt=SENSITIVE, status_code=200, tags=["account"])
async def confirm_totp(
    data: JSONBody[TotpCode], request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> RecoveryCodes:
    """Take the new secret into use; one's other sessions end."""
    user = await _user(services, principal)
    codes = await services.factors.confirm(actor(request, principal), user, data.code, principal.session_id)
    if codes is None:
        raise Refused(422, "this is not the code of the new secret; look at both clocks")
    return RecoveryCodes(codes)


@post("/api/v1/account/totp/recovery-codes", opt=SENSITIVE, status_code=200, tags=["account"])
async def renew_recovery_codes(
    request: Request[Any, Any, Any], principal: Caller, services: TheServices
) -> RecoveryCodes:
    """New recovery codes; those before are void."""
    user = await _user(services, principal)
    if not user.totp_secret:
        raise Refused(409, "there is no second factor")
    return RecoveryCodes(await services.factors.renew_codes(actor(request, principal), user))


@delete("/api/v1/account/totp", opt=SENSITIVE, status_code=204, tags=["account"])
async def remove_totp(request: Request[Any, Any, Any], principal: Caller, services: TheServices) -> None:
    """Take the second factor away; one's other sessions end."""
    user = await _user(services, principal)
    await services.factors.remove(actor(request, principal), user, principal.session_id)


async def _user(services: Services, principal: Principal) -> User:
    user = await services.users.by_id(principal.user_id)
    if user is None:
        raise not_found("user")
    return user


HANDLERS = [
    change_password,
    list_sessions,
    end_session,
    end_other_sessions,
    show_totp,
    enrol_totp,
    confirm_totp,
    renew_recovery_codes,
    remove_totp,
]
