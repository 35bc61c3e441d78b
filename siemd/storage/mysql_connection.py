"""Connections to MySQL and MariaDB: the URL, the session's settings, and errors as sentences."""

from __future__ import annotations

import asyncio
import re
import ssl
import struct
from typing import Any
from urllib.parse import parse_qsl, unquote

import aiomysql
import msgspec
import pymysql
from pymysql.constants import CLIENT, CR, FIELD_TYPE
from pymysql.converters import conversions

from siemd.errors import StoreError, UserError

# What a server or a network does to us, aiomysql's own confusion over half an answer included.
FAILURES = (pymysql.err.MySQLError, OSError, EOFError, RuntimeError, struct.error)
MIN_PACKET_BYTES = 4 << 20  # the largest row we make, every byte of it escaped twice, is below this
CONNECT_TIMEOUT_S = 10.0
_URL = re.compile(
    r"(?:mysql|mariadb)://(?:(?P<user>[^:@/]+)(?::(?P<password>.*))?@)?(?P<host>\[[^\]]+\]|[^:/?@\[]*)"
    r"(?::(?P<port>\d{1,5}))?/(?P<database>[^/?]+)(?:\?(?P<query>.*))?"
)
_OPTIONS = ("unix_socket", "ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify")
_FORM = "mysql://user:password@host:3306/database"
# Without backslash escapes only quotes are to be escaped: a third of the work for a document of 1 MiB, here and there.
_SESSION = (
    "SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,NO_BACKSLASH_ESCAPES', time_zone = '+00:00', "
    "sql_notes = 0, innodb_lock_wait_timeout = 20, lock_wait_timeout = 20"
)
# Times stay the text that SQLite gives too.
_CONVERSIONS = {
    key: value
    for key, value in conversions.items()
    if key not in (FIELD_TYPE.DATETIME, FIELD_TYPE.TIMESTAMP, FIELD_TYPE.DATE, FIELD_TYPE.TIME)
}
# Sums are numbers, as on SQLite.
_CONVERSIONS |= dict.fromkeys(
    (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL), lambda text: float(text) if "." in text else int(text)
)
_HINTS = {
    1044: "grant siemd's user all rights on its database",
    1045: "check user and password in storage.url (percent-encoded), and whether the server wants TLS: ?ssl_ca=FILE",
    1049: "make it: CREATE DATABASE {database} CHARACTER SET utf8mb4",
    1114: "free some space on the server's disk",
    1142: "grant siemd's user all rights on its database",
    1146: "run `siemd db migrate`",
    1227: "grant siemd's user all rights on its database",
    1290: "the server is read-only: point storage.url at the primary",
    1698: "give siemd's user a password: ALTER USER … IDENTIFIED BY '…'",
    1792: "the server is read-only: point storage.url at the primary",
    1836: "the server is read-only: point storage.url at the primary",
    CR.CR_SSL_CONNECTION_ERROR: "set its ssl_cert and ssl_key, or take ssl… out of storage.url if the network is safe",
    2003: "start the server, or correct host and port in storage.url",
    3159: "the server wants TLS: add ?ssl_ca=FILE to storage.url",
}


class _Cursor(aiomysql.Cursor):  # type: ignore[misc]
    """A cursor that doesn't fetch the server's warnings to print them on stderr; in strict mode they are idle notes."""

    async def _show_warnings(self, conn: Any) -> None:
        """Leave them where they are."""


class _Connection(aiomysql.Connection):  # type: ignore[misc]
    """A connection that asks for TLS gets it or ends: aiomysql would log in without, if only the server said so."""

    async def _get_server_information(self) -> None:
        """Read the server's greeting; nothing has been sent yet."""
        await super()._get_server_information()
        if self._ssl_context and not self.server_capabilities & CLIENT.SSL:
            raise pymysql.err.OperationalError(CR.CR_SSL_CONNECTION_ERROR, "the server offers no TLS")


class Address(msgspec.Struct, frozen=True):
    """Where a server is and how to log in."""

    host: str
    port: int
    user: str
    password: str
    database: str
    unix_socket: str | None = None
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"{self.user}@{self.unix_socket or f'{self.host}:{self.port}'}/{self.database}"


def parse_url(url: str) -> Address:
    """The address in a URL; UserError, without the password, when it is none."""
    match = _URL.fullmatch(url)
    if match is None:
        raise UserError("storage.url is not complete", f"write {_FORM}, special characters percent-encoded")
    options = dict(parse_qsl(match["query"] or "", keep_blank_values=True))
    for name in options:
        if name not in _OPTIONS:
            raise UserError(f"storage.url has an unknown option `{name[:40]}`", f"known are {', '.join(_OPTIONS)}")
    port = int(match["port"] or 3306)
    if not 0 < port < 65536:
        raise UserError(f"storage.url: there is no port {port}", f"write {_FORM}")
    return Address(
        host=match["host"].strip("[]") or "localhost",
        port=port,
        user=unquote(match["user"] or "siemd"),
        password=unquote(match["password"] or ""),
        database=unquote(match["database"]),
        unix_socket=options.get("unix_socket"),
        tls=_tls(options),
    )


def _tls(options: dict[str, str]) -> ssl.SSLContext | None:
    if not any(name.startswith("ssl") for name in options) or options.get("ssl") == "no":
        return None
    verify = options.get("ssl_verify", "yes")
    if verify not in ("yes", "no"):
        raise UserError(f"storage.url: ssl_verify is yes or no, not `{verify[:20]}`")
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca"))
        if "ssl_cert" in options:
            context.load_cert_chain(options["ssl_cert"], options.get("ssl_key"))
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(options[name] for name in ("ssl_ca", "ssl_cert", "ssl_key") if name in options)
        raise UserError(f"storage.url: the TLS files cannot be used ({files}): {error}", "they must be PEM") from None
    if verify == "no":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def connect(address: Address, *, client_flag: int = 0) -> Any:
    """A new connection, its session set so that no server's default matters; raises StoreError."""
    connection = None
    cancelled = _cancellations()
    try:
        connection = _Connection(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            db=address.database,
            unix_socket=address.unix_socket,
            ssl=address.tls,
            charset="utf8mb4",
            autocommit=False,
            connect_timeout=CONNECT_TIMEOUT_S,
            init_command=_SESSION,
            client_flag=client_flag,
            conv=_CONVERSIONS,
            cursorclass=_Cursor,
        )
        await connection._connect()
        if _cancellations() > cancelled:  # which Python 3.11's wait_for forgets when the connection comes just then
            raise asyncio.CancelledError
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT @@max_allowed_packet")
            (packet_bytes,) = await cursor.fetchone()
        await connection.rollback()
    except (*FAILURES, TimeoutError) as error:
        if connection is not None:
            connection.close()
        raise explain(error, address) from None
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    if int(packet_bytes) < MIN_PACKET_BYTES:
        connection.close()
        raise StoreError(
            f"max_allowed_packet of {address} is {packet_bytes} bytes, siemd needs {MIN_PACKET_BYTES}",
            "set max_allowed_packet=16M in the server's configuration and restart it",
        )
    return connection


def _cancellations() -> int:
    """How many times the running task has been asked to end."""
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def has_json_table(version: str) -> bool:
    """Whether a server of this VERSION() knows JSON_TABLE: MariaDB since 10.6, MySQL since 8.0.4."""
    numbers = [int(number) for number in re.findall(r"\d+", version.removeprefix("5.5.5-"))[:3]]
    return numbers >= ([10, 6, 0] if "mariadb" in version.lower() else [8, 0, 4])


def error_code(error: BaseException) -> int:
    """The server's error number, 0 if there is none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(error, pymysql.err.MySQLError) and isinstance(code, int) else 0


def explain(error: BaseException, address: Address) -> StoreError:
    """A failure as a sentence with what to do."""
    code = error_code(error)
    text = str(error.args[1]) if code and len(error.args) > 1 else str(error) or type(error).__name__
    text = " ".join(text.split())[:300]
    cause = error.__cause__
    if isinstance(cause, ssl.SSLError):
        reason = getattr(cause, "verify_message", "") or cause.reason or str(cause)
        return StoreError(
            f"MySQL {address}: TLS failed, {reason}",
            "name the authority of the server's certificate with ?ssl_ca=FILE in storage.url",
        )
    if isinstance(error, TimeoutError) or isinstance(cause, TimeoutError):
        return StoreError(f"MySQL {address} does not answer", "check the server and the network between")
    if "cryptography" in text:
        return StoreError(
            f"MySQL {address} wants a password exchange that needs TLS", "add ?ssl_ca=FILE to storage.url"
        )
    if isinstance(cause, OSError) and cause.strerror:
        text += f", {cause.strerror}"
    hint = _HINTS.get(code, "").format(database=address.database)
    return StoreError(f"MySQL {address}: {text}" + (f" (error {code})" if code else ""), hint)
