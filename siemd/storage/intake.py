"""What one write has to do: which events are new by their cursor, their rows by table, and the ledger's changes.

The ingest cursor of (host, source, epoch) is the highest sequence number that the store has dealt with. Whatever is
not above it was stored before (a redelivery after a lost answer) and is left out, so nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from siemd.events import Batch
from siemd.storage.tables import FIT, ROW_OF, Row, table_of
from siemd.storage.values import clean_text

Key = tuple[str, str, int]  # host, source, epoch


class Entry(msgspec.Struct):
    """How one cursor's ledger changes: seq is the new cursor, the others are amounts to add."""

    seq: int
    stored: int = 0
    dropped: int = 0
    rejected: int = 0


class Intake(msgspec.Struct):
    """One write: rows by table, those of them that the store refused, ledger entries, checkpoints by (host, source)."""

    rows: dict[str, list[Row]] = {}
    refused: dict[str, list[Row]] = {}
    entries: dict[Key, Entry] = {}
    checkpoints: dict[tuple[str, str], bytes] = {}
    stored: int = 0
    skipped: int = 0
    rejected: int = 0
    changed_values: int = 0

    def reject(self, table: str, row: Row) -> None:
        """Account for a row that the store refused: it goes to the dead letters instead of its table."""
        self.refused.setdefault(table, []).append(row)
        entry = self.entries[(row[1], row[2], row[3])]
        entry.stored -= 1
        entry.rejected += 1
        self.stored -= 1
        self.rejected += 1


def key_of(batch: Batch) -> Key:
    """The cursor that a batch belongs to, as the store spells it."""
    return clean_text(batch.host)[:255], clean_text(batch.source)[:64], batch.epoch


def keys_of(batches: Sequence[Batch]) -> list[Key]:
    """The cursors that batches touch, each once, sorted so that writers lock them in one order."""
    return sorted({key_of(batch) for batch in batches})


def intake(batches: Sequence[Batch], cursors: Mapping[Key, int]) -> Intake:
    """Sort out a write. cursors: the locked cursors' values, 0 for those that are new.

    Events without a number (seq 0) cannot be told apart and always count as new.
    """
    result = Intake(rows={}, refused={}, entries={}, checkpoints={})
    for batch in batches:
        key = key_of(batch)
        entry = result.entries.get(key)
        if entry is None:
            entry = result.entries[key] = Entry(cursors.get(key, 0))
        before = entry.seq
        last_seq = max([batch.last_seq, *(event.seq for event in batch.events)])
        if last_seq > before or not last_seq:
            entry.dropped += batch.dropped
            entry.seq = max(before, last_seq)
        _add_rows(result, batch, key, before, entry)
        if batch.checkpoint is not None:
            result.checkpoints[key[:2]] = batch.checkpoint
    return result


def _add_rows(result: Intake, batch: Batch, key: Key, before: int, entry: Entry) -> None:
    rows = result.rows
    changed = added = 0
    for event in batch.events:
        if event.seq <= before and event.seq:
            result.skipped += 1
            continue
        name = table_of(event)
        row, changes = FIT[name](ROW_OF[type(event)](event, *key))
        changed += changes
        added += 1
        rows.setdefault(name, []).append(row)
    entry.stored += added
    result.stored += added
    result.changed_values += changed
