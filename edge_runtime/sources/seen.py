"""Which rows of a feed that is read by time were delivered, so that reading a stretch again repeats none."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.errors import SourceError
from edge_runtime.sources.places import machines_in, steps_of, text_of, times_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from numpy.typing import NDArray

    from edge_runtime.influxdb.rows import Rows

__all__ = ["Seen"]

# So many machines are in the text of a checkpoint, of which the ledger has two copies that prove each other.
FEW, MAX_TEXT = 32, 4000
MODULUS = 1 << 32


class Seen:
    """Each machine's newest time, and every row within the lateness before it.

    Args:
        start_ns: First time of all.
        lateness_ns: How far back before a machine's newest row another one of it may still turn up.
    """

    def __init__(self, start_ns: int, lateness_ns: int) -> None:
        self.start_ns = start_ns
        self._lateness_ns = lateness_ns
        self._newest: dict[str, int] = {}
        self._times: dict[str, set[int]] = {}
        self._expected: set[str] = set()  # of which nothing was delivered
        self._held: set[tuple[str, int]] = set()
        self._held_before: set[tuple[str, int]] = set()
        self._conflicts: dict[str, set[int]] = {}
        # Of all newest times; what a ledger gives back must have the same.
        self._mark = 0
        self._moved: set[str] = set()  # since the last checkpoint
        self._apart = False  # whether the machines are in the checkpoints one by one
        self._floor = start_ns - 1  # no machine is further back
        self._lost_from: int | None = None  # nor was any whose place was lost, if there are such

    @property
    def newest(self) -> Mapping[str, int]:
        """Machine to its newest delivered time, or to the time before the first one to read."""
        return self._newest

    @property
    def expected(self) -> AbstractSet[str]:
        """The machines of which nothing was delivered yet."""
        return self._expected

    @property
    def holds(self) -> bool:
        """Whether rows of this round are held back, to be looked at once more."""
        return bool(self._held)

    def from_ns(self, machine: str) -> int:
        """First time to read of a machine."""
        newest = self._newest.get(machine)
        return self.start_ns if newest is None else max(self.start_ns, newest - self._lateness_ns + 1)

    def expect(self, machine: str, from_ns: int) -> None:
        """Knows a machine of which nothing was delivered yet, and which is read from a time on."""
        if machine not in self._newest:
            from_ns = from_ns if self._lost_from is None else min(from_ns, self._lost_from)
            self._newest[machine] = max(self.start_ns, from_ns) - 1
            self._expected.add(machine)

    def forget(self, machine: str, from_ns: int) -> None:
        """Knows nothing more of a machine than that it is read from a time on."""
        self._mark -= self._mark_of(machine)
        for known in (self._newest, self._times, self._conflicts):
            known.pop(machine, None)
        self._moved.add(machine)
        self._newest[machine] = max(self.start_ns, from_ns) - 1
        self._expected.add(machine)

    def begin_round(self) -> None:
        """What is held back from now on is delivered in the next round, not in this one."""
        self._held_before, self._held = self._held, set()
        heard = (time for machine, time in self._newest.items() if machine not in self._expected)
        self._floor = min(heard, default=self.start_ns - 1)

    def fresh(self, rows: Rows, own: Container[str] | None = None, *, newest: bool = False) -> Rows:
        """The rows of a block that were not delivered before; counts them as delivered.

        Args:
            rows: Rows in the order of time.
            own: The machines whose rows are taken; None for all.
            newest: Whether these are the last rows there are so far. InfluxDB shows a point that is just
                being written field by field, so among them a row that lacks a sensor is held back for one
                round, with those of its machine that follow: the next look finds it complete, or as it is.
        """
        block = rows.readings
        keep = np.zeros(len(block), np.bool_)
        lacking = _lacking(rows) if newest and len(block) else None
        fresh: list[tuple[str, NDArray[np.int64]]] = []
        for machine, index in _by_machine(rows, own):
            times = block.times[index]
            new = self._new(machine, times)
            if lacking is not None:
                new = self._hold(machine, times, new, lacking[index])
            keep[index] = new
            if new.any():
                fresh.append((machine, times[new]))
        for machine, times in fresh:
            self._add(machine, times)
        return rows if keep.all() else rows.take(keep)

    def conflicting(self, rows: Rows, own: Container[str] | None = None) -> Rows:
        """The rows that others contradict, each once, also when it was delivered before those came."""
        if rows.conflicts is None:
            return rows.take(slice(0, 0))
        keep = np.zeros(len(rows), np.bool_)
        for machine, index in _by_machine(rows, own):
            told = self._conflicts.setdefault(machine, set())
            before = len(told)
            for place in np.atleast_1d(index)[rows.conflicts[index] > 0].tolist():
                time = int(rows.readings.times[place])
                keep[place] = time >= self.from_ns(machine) and time not in told
                told.add(time)
            if len(told) > before:
                self._moved.add(machine)
        return rows.take(keep)

    def _new(self, machine: str, times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which rows of one machine were not delivered before, and are not too far back."""
        from_ns = self.from_ns(machine)
        new: NDArray[np.bool_] = times >= from_ns
        known = self._times.get(machine)
        if known:
            for i in np.flatnonzero(new & (times <= self._newest[machine])).tolist():
                new[i] = int(times[i]) not in known
        return new

    def _hold(
        self, machine: str, times: NDArray[np.int64], new: NDArray[np.bool_], lacking: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Takes out of `new` what lacks a sensor and was not held back before, and all that follows."""
        recent = times > int(times.max()) - self._lateness_ns
        suspect = [(machine, time) for time in times[new & lacking & recent].tolist()]
        first = next((row for row in suspect if row not in self._held_before), None)
        if first is None:
            return new
        # All of them are looked at once more, and none for a third time.
        self._held.update(row for row in suspect if row[1] >= first[1])
        new[times >= first[1]] = False
        return new

    def _add(self, machine: str, times: NDArray[np.int64]) -> None:
        self._mark -= self._mark_of(machine)
        self._newest[machine] = max(self._newest.get(machine, self.start_ns - 1), int(times.max()))
        self._expected.discard(machine)
        self._floor = min(self._floor, self._newest[machine])
        self._mark += self._mark_of(machine)
        self._moved.add(machine)
        oldest = self.from_ns(machine)
        known = self._times.setdefault(machine, set())
        known.update(times[times >= oldest].tolist())
        self._times[machine] = {time for time in known if time >= oldest}
        told = self._conflicts.pop(machine, None)
        if told and (kept := {time for time in told if time >= oldest}):
            self._conflicts[machine] = kept

    def _mark_of(self, machine: str) -> int:
        """What a machine adds to the mark; 0 for one of which nothing was delivered."""
        newest = self._newest.get(machine)
        if newest is None or machine in self._expected:
            return 0
        return zlib.crc32(machine.encode("utf-8", "surrogatepass"), (newest ^ newest >> 32) % MODULUS)

    def checkpoint(self) -> Checkpoint:
        """Where to go on: few machines all in the text, many by themselves, those that have moved.

        A machine's times are written as steps back from its newest, each with how often it is taken: a
        regular feed takes a few numbers, however far back it goes.
        """
        count = len(self._newest) - len(self._expected)
        about: dict[str, Any] = {"start": self.start_ns}
        if self._lost_from is not None:
            about["lost_from"] = self._lost_from
        if count <= FEW:
            machines = {machine: own for machine in sorted(self._newest) if (own := self._of(machine))}
            text = text_of({**about, "machines": machines})
            if len(text) <= MAX_TEXT:
                self._moved, self._apart = set(), False
                return Checkpoint(text)
        moved, self._moved = self._moved if self._apart else set(self._newest), set()
        self._apart = True
        about |= {"count": count, "mark": self._mark % MODULUS, "oldest": self._floor}
        return Checkpoint(text_of(about), {machine: self._of(machine) for machine in sorted(moved)})

    def _of(self, machine: str) -> list[Any] | None:
        """Its newest time, its times, and those that were told to be contradicted."""
        newest = self._newest.get(machine)
        if newest is None or machine in self._expected:
            return None
        own, told = self._times.get(machine, ()), self._conflicts.get(machine)
        return [newest, steps_of(newest, own), *([steps_of(newest, told)] if told else [])]

    def restore(self, checkpoint: Checkpoint) -> str | None:
        """Goes on from what `checkpoint` gave, in this version or an earlier one.

        Returns:
            What of it the ledger has lost, for a person; None where it is whole.

        Raises:
            SourceError: It is the checkpoint of another kind of source.
        """
        try:
            document: dict[str, Any] = json.loads(checkpoint.text)
            self.start_ns = int(document["start"])
            self._apart = "count" in document
            if "lost_from" in document:
                self._lost_from = int(document["lost_from"])
            if self._apart:
                machines = checkpoint.machines
            else:
                self.start_ns, machines = machines_in(document, self._lateness_ns)
            self._restore({machine: own for machine, own in machines.items() if own is not None})
            return self._lost(document) if self._apart else None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SourceError(
                "the ledger's checkpoint is not one of an InfluxDB",
                hint="use another --state file for this source",
            ) from None

    def _restore(self, machines: Mapping[str, Sequence[Any]]) -> None:
        self._newest = {machine: int(newest) for machine, (newest, *_) in machines.items()}
        self._times = {machine: times_of(int(own[0]), own[1]) for machine, own in machines.items()}
        self._conflicts = {
            machine: times_of(int(newest), parts[1])
            for machine, (newest, *parts) in machines.items()
            if len(parts) > 1
        }
        self._mark = sum(map(self._mark_of, self._newest))
        self._floor = min(self._newest.values(), default=self.start_ns - 1)

    def _lost(self, document: Mapping[str, Any]) -> str | None:
        """What is not as it was stored: machines that are missing, or have an older place."""
        missing = int(document["count"]) - len(self._newest)
        if missing > 0:
            oldest = int(document["oldest"])
            self._lost_from = oldest if self._lost_from is None else min(oldest, self._lost_from)
            places = "the place of 1 machine" if missing == 1 else f"the places of {missing:,} machines"
            return f"{places} in the feed"
        whole = self._mark % MODULUS == int(document["mark"])
        return None if whole else "the last places of some machines in the feed"


def _lacking(rows: Rows) -> NDArray[np.bool_]:
    """Which rows may just be being written."""
    lacking = np.isnan(rows.readings.values)
    if rows.unreadable is not None:
        lacking &= ~rows.unreadable  # there is a value, which waiting makes no number
    found: NDArray[np.bool_] = np.logical_or.reduce(lacking, axis=1)
    return found


def _by_machine(rows: Rows, own: Container[str] | None) -> Iterator[tuple[str, Any]]:
    """Each machine and where its rows are, of those that are meant."""
    groups = rows.readings.groups
    for machine, part in groups:
        if own is None or machine in own:
            yield machine, np.arange(part.start, part.stop) if groups.order is None else groups.order[part]
