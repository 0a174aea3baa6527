"""States in the ledger, a row a stage and machine: the engine's, and where the source goes on."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from edge_runtime.delivery.proof import proof
from edge_runtime.engine.stage import ANY_BUNDLE, StageState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

__all__ = ["keep_states", "kept_machines", "kept_states", "states_of_source"]

# What a source knows of each machine stands beside what the stages know of it.
SOURCE, SOURCE_VERSION = "source", 1
COLUMNS = "owner, stage, machine, version, value, crc"


def kept_states(db: sqlite3.Connection) -> list[StageState]:
    """Every stage's states as they were committed last; what does not fit its checksum no stage takes.

    Raises:
        sqlite3.Error: They cannot be read.
    """
    rows = db.execute(f"SELECT {COLUMNS} FROM states WHERE stage <> ?", (SOURCE,)).fetchall()  # noqa: S608
    return [StageState(row[0], row[1], row[2], row[3], _value(row, {"unreadable": row[4]})) for row in rows]


def kept_machines(db: sqlite3.Connection) -> dict[str, Any]:
    """Machine to what the source knows of it; those that do not fit their checksums are left out.

    Raises:
        sqlite3.Error: They cannot be read.
    """
    query = f"SELECT {COLUMNS} FROM states WHERE owner = ? AND stage = ? AND version = ?"  # noqa: S608
    rows = db.execute(query, (ANY_BUNDLE, SOURCE, SOURCE_VERSION)).fetchall()
    return {row[2]: value for row in rows if (value := _value(row, None)) is not None}


def states_of_source(machines: Mapping[str, Any]) -> list[StageState]:
    """Machines of a source's checkpoint, as `keep_states` takes them."""
    return [StageState(ANY_BUNDLE, SOURCE, name, SOURCE_VERSION, own) for name, own in machines.items()]


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


def _value(row: Sequence[Any], unreadable: Any) -> Any:
    if row[5] == proof("states", *row[:5]):
        with suppress(ValueError):
            return json.loads(row[4])
    return unreadable
