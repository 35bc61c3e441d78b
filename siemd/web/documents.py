"""Saved views of people and settings of all: JSON documents in the store, bounded in size and number."""

from __future__ import annotations

from typing import Any

import msgspec

from siemd.errors import UserError
from siemd.events import now_us
from siemd.storage.database import Database, Transaction
from siemd.storage.search import json_value, rfc3339
from siemd.storage.tables import time_text
from siemd.storage.values import clean_text
from siemd.web.access.audit import Audit
from siemd.web.access.principal import Actor
from siemd.web.access.secrets import new_id

MAX_BYTES = 64 << 10
MAX_VIEWS, MAX_SETTINGS = 200, 200  # of one user; in all


class View(msgspec.Struct):
    """A saved view. own: whether it is the asker's; owner: by name, `-` when the account is gone."""

    view_id: str
    name: str
    page: str
    shared: bool
    own: bool
    owner: str
    definition: Any
    created: str
    changed: str


class Setting(msgspec.Struct):
    """A setting."""

    name: str
    value: Any
    changed: str
    changed_by: str


class Views:
    """Saved views: one's own, and those that others share, which one may read."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def seen_by(self, user_id: str) -> list[View]:
        """One's own and the shared ones, by name."""
        rows = await self._database.fetch(
            "SELECT v.*, u.name AS owner FROM saved_views v LEFT JOIN users u ON u.user_id = v.user_id "
            "WHERE v.user_id = ? OR v.shared = 1 ORDER BY v.name, v.view_id LIMIT 2000",
            (user_id,),
        )
        return [_view(row, user_id) for row in rows]

    async def get(self, user_id: str, view_id: str) -> View | None:
        """One that somebody may see."""
        rows = await self._database.fetch(
            "SELECT v.*, u.name AS owner FROM saved_views v LEFT JOIN users u ON u.user_id = v.user_id "
            "WHERE v.view_id = ? AND (v.user_id = ? OR v.shared = 1)",
            (view_id, user_id),
        )
        return _view(rows[0], user_id) if rows else None

    async def add(self, actor: Actor, user_id: str, name: str, page: str, definition: Any, *, shared: bool) -> str:
        """A new one; its id."""
        view_id, now, text = new_id(), time_text(now_us()), document_text(definition)
        async with self._database.transaction() as work:
            count = await work.fetch("SELECT COUNT(*) AS n FROM saved_views WHERE user_id = ?", (user_id,))
            if int(count[0]["n"]) >= MAX_VIEWS:
                raise UserError(f"there are {MAX_VIEWS} views already", "remove those that you don't need")
            await work.execute(
                "INSERT INTO saved_views (view_id, user_id, shared, name, page, definition, created, changed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (view_id, user_id, int(shared), clean_text(name), clean_text(page), text, now, now),
            )
            await self._audit.append(work, actor, "view.added", name, view_id=view_id, shared=shared)
        return view_id

    async def change(
        self, actor: Actor, user_id: str, view_id: str, name: str, page: str, definition: Any, *, shared: bool
    ) -> bool:
        """Replace one's own; False when there is none such."""
        text, now = document_text(definition), time_text(now_us())
        async with self._database.transaction() as work:
            if not await self._own(work, user_id, view_id):
                return False
            await work.execute(
                "UPDATE saved_views SET shared = ?, name = ?, page = ?, definition = ?, changed = ? "
                "WHERE view_id = ? AND user_id = ?",
                (int(shared), clean_text(name), clean_text(page), text, now, view_id, user_id),
            )
            await self._audit.append(work, actor, "view.changed", name, view_id=view_id, shared=shared)
        return True

    async def remove(self, actor: Actor, user_id: str, view_id: str) -> bool:
        """Remove one's own; False when there is none such."""
        async with self._database.transaction() as work:
            name = await self._own(work, user_id, view_id)
            if not name:
                return False
            await work.execute("DELETE FROM saved_views WHERE view_id = ? AND user_id = ?", (view_id, user_id))
            await self._audit.append(work, actor, "view.removed", name, view_id=view_id)
        return True

    async def _own(self, work: Transaction, user_id: str, view_id: str) -> str:
        rows = await work.fetch("SELECT name FROM saved_views WHERE view_id = ? AND user_id = ?", (view_id, user_id))
        return str(rows[0]["name"]) if rows else ""


class Settings:
    """Settings of all, by name."""

    def __init__(self, database: Database, audit: Audit) -> None:
        self._database = database
        self._audit = audit

    async def all(self) -> list[Setting]:
        """Every setting, by name."""
        rows = await self._database.fetch("SELECT * FROM settings ORDER BY name LIMIT 1000")
        return [_setting(row) for row in rows]

    async def put(self, actor: Actor, name: str, value: Any) -> Setting:
        """Set one."""
        text, now = document_text(value), time_text(now_us())
        async with self._database.transaction() as work:
            count = await work.fetch("SELECT COUNT(*) AS n FROM settings WHERE name <> ?", (name,))
            if int(count[0]["n"]) >= MAX_SETTINGS:
                raise UserError(f"there are {MAX_SETTINGS} settings already", "remove those that nobody needs")
            await work.execute(
                "REPLACE INTO settings (name, value, changed, changed_by) VALUES (?, ?, ?, ?)",
                (name, text, now, actor.name),
            )
            await self._audit.append(work, actor, "setting.changed", name, value=value)
        return Setting(name, value, rfc3339(now), actor.name)

    async def remove(self, actor: Actor, name: str) -> bool:
        """Remove one; False when there is none such."""
        async with self._database.transaction() as work:
            removed = await work.execute("DELETE FROM settings WHERE name = ?", (name,))
            if removed:
                await self._audit.append(work, actor, "setting.removed", name)
        return bool(removed)


def document_text(value: Any) -> str:
    """A document as it is stored; UserError when it is too large."""
    text = clean_text(msgspec.json.encode(value).decode())
    if len(text.encode()) > MAX_BYTES:
        raise UserError(f"the document has more than {MAX_BYTES >> 10} KiB", "store less in it")
    return text


def _view(row: dict[str, Any], user_id: str) -> View:
    return View(
        view_id=row["view_id"],
        name=row["name"],
        page=row["page"],
        shared=bool(row["shared"]),
        own=row["user_id"] == user_id,
        owner=row["owner"] or "-",
        definition=json_value(row["definition"]),
        created=rfc3339(row["created"]),
        changed=rfc3339(row["changed"]),
    )


def _setting(row: dict[str, Any]) -> Setting:
    return Setting(row["name"], json_value(row["value"]), rfc3339(row["changed"]), row["changed_by"])
