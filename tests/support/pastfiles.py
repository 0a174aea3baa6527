"""What a history's file holds, found without the code that reads it for people."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.history.columns import SEVERITY_ERROR, unpacked
from edge_runtime.history.recent import recent_read
from edge_runtime.history.rollups import Rollups, rolled, rollups_read
from edge_runtime.history.rows import Rows

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["assert_whole", "rollups_in", "rows_in", "table"]


def table(path: Path, query: str) -> list[tuple[object, ...]]:
    """What a query gives."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def rows_in(path: Path) -> dict[str, Rows]:
    """Machine to its rows: those in blocks, then those that wait to be packed, as they stand in the file."""
    with closing(sqlite3.connect(path)) as db:
        names = dict(db.execute("SELECT code, name FROM machines"))
        parts: dict[str, list[Rows]] = {}
        for machine, data in db.execute("SELECT machine, data FROM blocks ORDER BY machine, start"):
            parts.setdefault(names[machine], []).append(unpacked(data))
        for number, data in db.execute("SELECT number, data FROM recent ORDER BY number"):
            recent = recent_read(data, number)
            for code in np.unique(recent.machines).tolist():
                parts.setdefault(names[code], []).append(recent.rows.take(recent.machines == code))
    return {name: Rows.joined(own) for name, own in parts.items()}


def rollups_in(path: Path, step: int) -> dict[str, Rollups]:
    """Machine to its minutes or hours, of a file with one bundle."""
    found: dict[str, tuple[list[int], list[bytes]]] = {}
    with closing(sqlite3.connect(path)) as db:
        names = dict(db.execute("SELECT code, name FROM machines"))
        sensors = db.execute("SELECT json_array_length(sensors) FROM bundles").fetchone()[0]
        query = "SELECT machine, start, data FROM rollups WHERE step = ? ORDER BY machine, start"
        for machine, start, data in db.execute(query, (step,)):
            starts, written = found.setdefault(names[machine], ([], []))
            starts.append(start)
            written.append(data)
    return {name: rollups_read(starts, written, sensors) for name, (starts, written) in found.items()}


def assert_whole(path: Path) -> None:
    """Times rise, blocks say what is in them, and rollups are those of the rows in blocks."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
        packed: dict[int, list[Rows]] = {}
        columns = "machine, start, stop, first, last, rows, data"
        for machine, *about, data in db.execute(f"SELECT {columns} FROM blocks ORDER BY machine, start"):  # noqa: S608
            rows = unpacked(data)
            ends = [int(column[at]) for column in (rows.times, rows.numbers) for at in (0, -1)]
            assert about == [*ends, len(rows)]
            packed.setdefault(machine, []).append(rows)
        names = dict(db.execute("SELECT code, name FROM machines"))
    for rows in rows_in(path).values():
        assert (np.diff(rows.times) > 0).all()
        assert (np.diff(rows.numbers) >= 0).all()
    for step in (60, 3600):
        kept = rollups_in(path, step)
        assert set(kept) >= {names[machine] for machine in packed}  # of others, the rows are too old by now
        for machine, parts in packed.items():
            wanted, found = rolled(Rows.joined(parts), step), kept[names[machine]]
            for name in ("starts", "rows", "anomalous", "unknown", "counts"):
                np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
            for name in ("least", "greatest"):
                np.testing.assert_array_equal(getattr(found, name)[:, :-1], getattr(wanted, name)[:, :-1])
            for name in ("least", "mean", "greatest"):  # the severity is shortened in blocks, but not here
                ours, theirs = getattr(found, name), getattr(wanted, name)
                np.testing.assert_allclose(ours[:, -1], theirs[:, -1], rtol=1.01 * SEVERITY_ERROR)
            np.testing.assert_allclose(found.mean[:, :-1], wanted.mean[:, :-1], rtol=1e-5, atol=1e-6)
