"""siemd user: accounts made and changed from the command line, by whoever may write the store."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys

import msgspec

from siemd.config import Config, require_data_dir
from siemd.errors import UserError
from siemd.storage.database import open_database
from siemd.web.access.passwords import check_password
from siemd.web.access.principal import Actor, Principal
from siemd.web.access.roles import SCOPES, Right, rights_of
from siemd.web.access.users import NEW_PASSWORD, User, clean_name
from siemd.web.services import Services


def run(options: argparse.Namespace, config: Config) -> int:
    """Do what the command line asks; returns the exit code."""
    password = None
    if options.action in ("add", "passwd") and not options.link:
        password = _ask(options, clean_name(options.name), config.web.sessions.password_length)
    return asyncio.run(_act(options, config, password))


async def _act(options: argparse.Namespace, config: Config, password: str | None) -> int:
    data_dir = require_data_dir(config)
    services = Services(config, data_dir, open_database(config.storage, data_dir))
    try:
        await services.database.open()
        if options.action == "list":
            await _list(services, as_json=options.json)
            return 0
        who = Actor(f"{getpass.getuser()}@{config.host_name()}", "cli")
        if options.action == "add":
            hashed = await services.passwords.hash(password) if password else ""
            await services.users.add(who, options.name, options.role, hashed)
        user = await _find(services, options.name)
        if options.action == "token":
            await _print_token(services, who, user, options)
        if options.action in ("enable", "disable"):
            await services.users.change(who, user, disabled=options.action == "disable")
        if options.action == "passwd":
            if password:
                await services.users.set_password(who, user, await services.passwords.hash(password))
            if options.reset_totp:
                await services.factors.remove(who, user)
        if options.action in ("add", "passwd") and options.link:
            await _print_link(services, who, user)
        await services.witness.advance()
    finally:
        await services.close()
    return 0


async def _find(services: Services, name: str) -> User:
    user = await services.users.by_name(name)
    if user is None:
        raise UserError(f"there is no user {name}", "`siemd user list` shows who there is")
    return user


async def _print_link(services: Services, who: Actor, user: User) -> None:
    life_s = services.web.sessions.setup_link_s
    secret = await services.users.make_link(who, NEW_PASSWORD, life_s, user)
    scheme = "https" if services.web.has_tls or services.web.behind_tls_proxy else "http"
    place = services.web.hosts[0] if services.web.hosts else services.web.listen
    print(f"good once, for {life_s}: {scheme}://{place}{services.web.base_path}/setup#{secret}")


async def _print_token(services: Services, who: Actor, user: User, options: argparse.Namespace) -> None:
    owner = Principal(user.user_id, user.name, user.role, rights_of(user.role), "session")
    usual = [right for right in SCOPES if right.endswith(":read") and owner.may(right)]
    scopes = options.scopes.split(",") if options.scopes else usual
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise UserError(f"{unknown[0]!r} is no scope of a token", f"there are {', '.join(sorted(SCOPES))}")
    token, _id = await services.tokens.issue(
        who, owner, options.label, [Right(scope) for scope in scopes], options.days
    )
    print(token)


async def _list(services: Services, *, as_json: bool) -> None:
    for user in await services.users.all():
        if as_json:
            print(msgspec.json.encode(user).decode())
            continue
        marks = [
            word
            for word, true in (
                ("disabled", user.disabled),
                ("no password yet", not user.has_password and not user.from_oidc),
                ("second factor", user.has_totp),
            )
            if true
        ]
        print(f"{user.name:<32} {user.role:<8} {user.last_login or 'never logged in':<28} {', '.join(marks)}".rstrip())


def _ask(options: argparse.Namespace, name: str, least_characters: int) -> str:
    """The password, from standard input or from a person who types it twice; never from the command line."""
    if options.stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {name}: ")
        if getpass.getpass("Once more: ") != password:
            raise UserError("the passwords differ", "nothing was changed")
    else:
        raise UserError("there is no terminal to ask for a password", "use --link or --stdin")
    check_password(password, name, least_characters)
    return password
