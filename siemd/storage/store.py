"""The store's interface, its configuration, its errors, and the choice between SQLite and MySQL."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from siemd.errors import StoreError, UserError
from siemd.events import Batch
from siemd.units import Bytes, Seconds


class RetentionConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How long each table keeps its rows, by the events' own time; 0 keeps them for ever."""

    logs_s: Annotated[Seconds, Meta(description="Facts about the wire.")] = msgspec.field(
        name="logs", default=Seconds(30 * 86400)
    )
    connections_s: Annotated[Seconds, Meta(description="Records of connections, many more than other facts.")] = (
        msgspec.field(name="connections", default=Seconds(7 * 86400))
    )
    security_logs_s: Annotated[Seconds, Meta(description="Security and authentication logs.")] = msgspec.field(
        name="security_logs", default=Seconds(90 * 86400)
    )
    system_logs_s: Annotated[Seconds, Meta(description="System logs.")] = msgspec.field(
        name="system_logs", default=Seconds(30 * 86400)
    )
    application_logs_s: Annotated[Seconds, Meta(description="Application logs.")] = msgspec.field(
        name="application_logs", default=Seconds(30 * 86400)
    )
    channel_logs_s: Annotated[Seconds, Meta(description="Logs of every other channel.")] = msgspec.field(
        name="channel_logs", default=Seconds(30 * 86400)
    )
    usage_data_s: Annotated[Seconds, Meta(description="CPU, RAM, disk, network and load.")] = msgspec.field(
        name="usage_data", default=Seconds(30 * 86400)
    )
    alerts_s: Annotated[Seconds, Meta(description="Alerts, by the time of their last change.")] = msgspec.field(
        name="alerts", default=Seconds(365 * 86400)
    )

    def seconds(self) -> dict[str, float]:
        """How long each table keeps its rows, by the table's name; 0 for ever."""
        return {name.removesuffix("_s"): float(getattr(self, name)) for name in self.__struct_fields__}


class StorageConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where events are kept."""

    url: Annotated[
        str,
        Meta(
            description="`sqlite:` is siemd.db in data_dir, `sqlite:FILE` another file. "
            "`mysql://user:${PASSWORD}@host:3306/database` is MySQL 8 or MariaDB; TLS by "
            "`?ssl_ca=FILE` (and ssl_cert, ssl_key, ssl_verify=no). `?unix_socket=FILE` connects locally."
        ),
    ] = "sqlite:"
    batch_events: Annotated[
        int, Meta(description="Events that are written in one transaction at most.", ge=1, le=100_000)
    ] = 4000
    batch_delay_s: Annotated[
        Seconds, Meta(description="How long an event may wait for others to be written with it.")
    ] = msgspec.field(name="batch_delay", default=Seconds(0.25))
    spool_bytes: Annotated[
        Bytes,
        Meta(
            description="With MySQL: how much the spool in data_dir may hold while the server is away. When full, "
            "sources that can wait are slowed; the sniffer drops, counted."
        ),
    ] = msgspec.field(name="spool_size", default=Bytes(1 << 30))
    timeout_s: Annotated[
        Seconds, Meta(description="With MySQL: a connection or a write that takes longer is given up and tried again.")
    ] = msgspec.field(name="timeout", default=Seconds(60))
    retention: RetentionConfig = msgspec.field(default_factory=RetentionConfig)


class SpoolFull(StoreError):
    """The spool holds all it may; there is room again when the shipper has delivered."""


class Written(msgspec.Struct):
    """What a write did, in events. changed_values: values cut or cleaned so that a column holds them."""

    stored: int = 0
    skipped: int = 0
    rejected: int = 0
    changed_values: int = 0


class Migration(msgspec.Struct):
    """One numbered SQL file; applied: when, as text, or None."""

    number: int
    name: str
    checksum: str
    applied: str | None = None


class Store(Protocol):
    """A place for events. One writer at a time; queries may run beside it. Failures are StoreErrors."""

    description: str  # for people, without secrets
    is_local: bool  # on this host's disk: what it has stored is accepted, without a spool before it

    async def open(self) -> None:
        """Connect, and bring the schema up to date. UserError for what waiting can't mend."""

    async def close(self) -> None:
        """Let go of everything; may be called at any time, also twice."""

    async def write(self, batches: Sequence[Batch]) -> Written:
        """Store batches, cursors, ledger and checkpoints in one transaction; what was stored before is skipped."""

    async def checkpoints(self, host: str) -> dict[str, bytes]:
        """The newest stored checkpoint of every source of a host."""

    async def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of one SELECT; `?` stands for a parameter on every store."""

    async def record_told(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Keep rows of `alert_notifications` (TOLD_COLUMNS); what is there already is replaced."""

    async def schema(self) -> list[Migration]:
        """Every migration, applied or not. Changes nothing."""

    async def reset(self) -> None:
        """Drop every table with all that is in it, and make them anew."""

    async def keep(self, retention_s: dict[str, float], now_us: int) -> int:
        """Remove what is older than its table keeps, and prepare the tables for the days ahead; how many rows went."""

    async def roll_up(self) -> bool:
        """Count a slice of the rows that were there before the rollups; whether more are left."""


def open_store(config: StorageConfig, data_dir: Path) -> Store:
    """The store that the configuration names, not yet opened. UserError when the URL is wrong."""
    scheme, _, rest = config.url.partition(":")
    if scheme == "sqlite":
        from siemd.storage.sqlite import SqliteStore

        name = rest.removeprefix("//") or "siemd.db"
        return SqliteStore(data_dir / name)
    if scheme in ("mysql", "mariadb"):
        from siemd.storage.mysql import MysqlStore
        from siemd.storage.mysql_connection import parse_url

        return MysqlStore(parse_url(config.url), timeout_s=float(config.timeout_s))
    raise UserError(
        f"storage.url starts with `{scheme[:20]}:`, which is no store",
        "write `sqlite:` or `mysql://user:password@host/database`",
    )
