"""The engine's states in the ledger, a row a stage and machine."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.proof import proof
from edge_runtime.engine.stage import StageState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["keep_states", "kept_states"]


def kept_states(db: sqlite3.Connection) -> list[StageState]:
    """Every state as it was committed last; what does not fit its checksum is one that no stage takes.

    Raises:
        sqlite3.Error: They cannot be read.
    """
    rows = db.execute("SELECT owner, stage, machine, version, value, crc FROM states").fetchall()
    return [StageState(row[0], row[1], row[2], row[3], _value(row)) for row in rows]


def keep_states(db: sqlite3.Connection, states: Sequence[StageState]) -> None:
    """Each replaces the one before, or takes it away."""
    known = [
        (*state[:4], json.dumps(state.value, separators=(",", ":")))
        for state in states
        if state.value is not None
    ]
    gone = [state[:3] for state in states if state.value is None]
    db.executemany(
        "INSERT OR REPLACE INTO states (owner, stage, machine, version, value, crc)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [(*row, proof("states", *row)) for row in known],
    )
    db.executemany("DELETE FROM states WHERE owner = ? AND stage = ? AND machine = ?", gone)


def _value(row: Sequence[Any]) -> Any:
    if row[5] == proof("states", *row[:5]):
        with suppress(ValueError):
            return json.loads(row[4])
    return {"unreadable": row[4]}  # what no stage takes
