"""Looking back: what a history has, for commands and pages, while `run` goes on writing it."""

from __future__ import annotations

import json
import zlib
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.delivery.opening import file_of
from edge_runtime.engine.stage import StageState
from edge_runtime.history.asking import Asked
from edge_runtime.history.measures import bytes_per_day
from edge_runtime.history.parts import parts
from edge_runtime.history.points import points_of
from edge_runtime.history.spans import spans_of
from edge_runtime.history.told import alarms_of, changes_of, gaps_of, ids_of, statuses_of
from edge_runtime.timeparse import EARLIEST, LATEST

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from edge_runtime.engine.alarms import Change
    from edge_runtime.history.parts import Part
    from edge_runtime.history.points import Points
    from edge_runtime.history.spans import MachineSpan
    from edge_runtime.history.told import Gap, StatusChange

__all__ = ["HistoryReader", "KeptState", "reading_history"]


class KeptState(NamedTuple):
    """What the engine knew of a machine.

    Attributes:
        time: Of the last row before, nanoseconds since the epoch.
        number: Of the commit; of two of one time the greater one holds.
        bundle: Digest of the bundle that the engine had.
        states: As `Engine.restore` takes them; empty for nothing.
    """

    time: int
    number: int
    bundle: str
    states: list[StageState]


@contextmanager
def reading_history(path: Path) -> Iterator[HistoryReader]:
    """A history to be read while `run` may write it; nothing of it is touched.

    Args:
        path: The file, as `history_file` gives it.

    Raises:
        LedgerError: There is none, it is no history, it is of a later version, or it is damaged.
    """
    asked = Asked(path)
    try:
        yield HistoryReader(asked)
    finally:
        asked.close()


class HistoryReader:
    """What a history has. Each method sees it as it is when it asks; every one may raise `LedgerError`.

    Times are in nanoseconds since the epoch. Of a machine that is not known there is nothing.

    Args:
        asked: The open history.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    @property
    def damaged(self) -> list[tuple[int, int]]:
        """From when until when something was found that could not be read, and was left out."""
        return self._asked.damaged

    def machines(self) -> list[MachineSpan]:
        """The machines of which there are rows, by name."""
        with self._asked.whole():
            return spans_of(self._asked)

    def rows(self, machine_id: str, start: int, stop: int) -> Iterator[Part]:
        """A machine's rows with start <= time < stop, oldest first; no transaction is held meanwhile."""
        machine = self._asked.machine(machine_id)
        if machine is not None:
            with self._asked.whole():
                yield from parts(self._asked, machine, *_held(start, stop))

    def points(self, machine_id: str, start: int, stop: int, most: int = 2000) -> list[Points]:
        """A machine's history from start until before stop as few points, oldest first.

        They are made of rows where that is quick, else of minutes or hours, and of those where the rows
        are gone. A minute or an hour counts whole. With the rows that are not packed yet, nothing is missing
        up to the newest one.

        Args:
            machine_id: The machine.
            start: From when.
            stop: Until before when.
            most: So many points at most, and one more for each time that the sensors change.
        """
        machine = self._asked.machine(machine_id)
        with self._asked.whole():
            return [] if machine is None else points_of(self._asked, machine, *_held(start, stop), most)

    def alarms(self, start: int, stop: int, machine_id: str | None = None) -> list[dict[str, Any]]:
        """The alarms that were up at some time from start until before stop, by their beginning.

        Args:
            start: From when.
            stop: Until before when.
            machine_id: Only those of this machine; None for all.

        Returns:
            The fields of `docs/alarms.md`, as the alarm's last change has them, and `state`: "replaced" or
            "forgotten", else as in `engine.alarms.State`.
        """
        with self._asked.whole():
            return alarms_of(self._asked, *_held(start, stop), machine_id)

    def ids(self, digits: str) -> list[str]:
        """The ids of alarms, ten at most, that begin with these hexadecimal digits, in lower case."""
        return ids_of(self._asked, digits)

    def changes(self, event_id: str) -> list[Change]:
        """All that became of an alarm, in order; empty where it is not known."""
        with self._asked.whole():
            return changes_of(self._asked, event_id)

    def statuses(self, machine_id: str, start: int, stop: int) -> list[StatusChange]:
        """Changes of sensors' status from start until before stop, and of each sensor the last one before."""
        machine = self._asked.machine(machine_id)
        with self._asked.whole():
            return [] if machine is None else statuses_of(self._asked, machine, *_held(start, stop))

    def gaps(self) -> list[Gap]:
        """Where rows are missing that were judged."""
        return gaps_of(self._asked)

    def states(self, machine_id: str, start: int, stop: int) -> list[KeptState]:
        """What the engine knew of a machine after its rows before start, and from time to time until stop.

        The newest one with time < start, and those with start <= time < stop.
        """
        machine = self._asked.machine(machine_id)
        if machine is None:
            return []
        start, stop = _held(start, stop)
        found = self._asked.ask(partial(_states, machine=machine, start=start, stop=stop))
        with self._asked.whole():
            return [
                KeptState(time, number, self._asked.layout(bundle).bundle, states)
                for time, number, bundle, data in found
                if (states := _stage_states(machine_id, data)) is not None
            ]

    @property
    def size_bytes(self) -> int:
        """What the history takes on the disk, with its log."""
        path = file_of(self._asked.path)
        found = 0
        for one in (path, path.with_name(f"{path.name}-wal")):
            with suppress(OSError):
                found += one.stat().st_size
        return found

    def bytes_per_day(self) -> float | None:
        """What a day of the newest rows takes, estimated; None where there is too little to tell."""
        with self._asked.whole():
            return bytes_per_day(self._asked)


def _held(start: int, stop: int) -> tuple[int, int]:
    """Times beyond what a row can have, as the last that one can."""
    return min(LATEST, max(EARLIEST, start)), min(LATEST, max(EARLIEST, stop))


def _states(db: sqlite3.Connection, machine: int, start: int, stop: int) -> list[tuple[int, int, int, bytes]]:
    # A machine's states go with its rows, where these are judged a second time.
    columns = """SELECT time, number, bundle, data FROM states WHERE machine = ? AND NOT EXISTS (
        SELECT 1 FROM cuts WHERE cuts.machine = states.machine AND cuts.number > states.number
        AND cuts.time <= states.time)"""
    before = f"{columns} AND time < ? ORDER BY time DESC, number DESC LIMIT 1"
    within = f"{columns} AND time >= ? AND time < ? ORDER BY time, number"
    return [
        *db.execute(before, (machine, start)).fetchall(),
        *db.execute(within, (machine, start, stop)).fetchall(),
    ]


def _stage_states(machine_id: str, data: bytes) -> list[StageState] | None:
    """As they were stored; None where they cannot be read."""
    if not data:
        return []
    try:
        stored = json.loads(zlib.decompress(data))
        return [
            StageState(owner, stage, machine_id, version, value) for owner, stage, version, value in stored
        ]
    except (ValueError, TypeError, zlib.error):
        return None
