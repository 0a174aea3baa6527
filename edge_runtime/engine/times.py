"""Each machine's newest time: which rows are new, and what a row is that is not.

A row is judged when it is newer than every earlier one of its machine. One of a known time is repeated or,
with other readings, conflicting; any other is too late. None of the three overwrites what was found before.
One machine's clock, outage or backlog never costs another machine's rows.
"""

from __future__ import annotations

import binascii
import zlib
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edge_runtime.engine.machine import KNOWN_ROWS, NEVER, WAITING_BLOCKS, Machine, digests
from edge_runtime.records import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from edge_runtime.records import Groups, Readings

    # A machine, the times of its new rows, and the readings of the last of them, at most `KNOWN_ROWS`.
    Fresh = tuple[str, NDArray[np.int64], NDArray[np.float32]]

__all__ = ["Times"]

ROW_BYTES = 120  # a tuple of two numbers


class Times:
    """The stage that lets each row pass once, in the order of its machine's time.

    Args:
        sensors: Number of sensors.
        future_ns: How far ahead of the gateway's clock a row may be.

    Attributes:
        machines: Machine id to what is known of it; for the path of a single row.
        moved: Machines whose newest time moved since `changed` was asked last; for that path, too.
        max_machines: So many machines are kept.
    """

    name = "times"
    version = 1
    belongs: Literal["bundle", "machine"] = "machine"

    def __init__(self, sensors: int, future_ns: int) -> None:
        self.machine_bytes = KNOWN_ROWS * (ROW_BYTES + (WAITING_BLOCKS + 1) * (8 + 4 * sensors))
        self.future_ns = future_ns
        self.max_machines = 1
        self.machines: dict[str, Machine] = {}
        self.moved: set[str] = set()

    def newest(self, machine: str) -> int:
        """A machine's newest time; `NEVER` of one that was never seen."""
        known = self.machines.get(machine)
        return NEVER if known is None else known.newest

    def check(self, readings: Readings, now: int | None) -> tuple[NDArray[np.int8] | None, list[Fresh]]:
        """Which rows must not be judged, and what `take` needs to know once the others are.

        Args:
            readings: The rows, in the order in which they came.
            now: The gateway's clock, nanoseconds since the epoch; None where nothing is in the future.

        Returns:
            [rows] codes of `Reason`, or None where all rows are new; and each machine's new rows.
        """
        if now is not None:
            ahead = readings.times > now + self.future_ns
            if ahead.any():
                found = np.full(len(readings), Reason.TIME_IN_THE_FUTURE, np.int8)
                present, fresh = self._check(readings.take(~ahead))
                found[~ahead] = Reason.NONE if present is None else present
                return found, fresh
        return self._check(readings)

    def take(self, fresh: Iterable[Fresh]) -> None:
        """Makes these rows the newest ones of their machines: they are judged."""
        for name, times, values in fresh:
            machine = self.machines.get(name)
            if machine is None:
                machine = self.machines[name] = Machine(name)
            machine.add_block(times, values)
            self.moved.add(name)

    def _check(self, readings: Readings) -> tuple[NDArray[np.int8] | None, list[Fresh]]:
        groups = readings.groups
        found: NDArray[np.int8] | None = None
        fresh: list[Fresh] = []
        times = groups.gather(readings.times)
        excess = self._excess(groups)
        for machine, rows in groups:
            index: Any = rows if groups.order is None else groups.order[rows]
            if machine in excess:
                reasons: NDArray[np.int8] | Reason | None = Reason.TOO_MANY_MACHINES
            else:
                reasons = self._check_machine(machine, times[rows], readings.values, index, fresh)
            if reasons is not None:
                found = np.zeros(len(readings), np.int8) if found is None else found
                found[index] = reasons
        return found, fresh

    def _excess(self, groups: Groups) -> set[str]:
        """The machines for which there is no more room; whoever came first has it."""
        if len(self.machines) + len(groups.names) <= self.max_machines:
            return set()
        first = {
            machine: rows.start if groups.order is None else int(groups.order[rows.start])
            for machine, rows in groups
            if machine not in self.machines
        }
        room = max(0, self.max_machines - len(self.machines))
        return set(sorted(first, key=lambda machine: first[machine])[room:])

    def _check_machine(
        self,
        name: str,
        times: NDArray[np.int64],
        values: NDArray[np.float32],
        index: Any,
        fresh: list[Fresh],
    ) -> NDArray[np.int8] | None:
        """One machine's rows; `index` says where their readings are."""
        machine = self.machines.get(name) or Machine(name)
        if times[0] > machine.newest and (times[1:] > times[:-1]).all():
            last = index[-KNOWN_ROWS:] if not isinstance(index, slice) else _last(index)
            fresh.append((name, times, values[last]))
            return None
        readings = values[index]
        reasons, new = _find_old(machine, times, readings)
        if new.any():
            fresh.append((name, times[new], readings[new]))
        return reasons

    def changed(self) -> set[str]:
        """As `Stage.changed`."""
        # The set itself stays: the path of a single row has it at hand.
        moved = self.moved.copy()
        self.moved.clear()
        return moved

    def state(self, machine: str) -> list[Any] | None:
        """Its newest time; and of the known rows the steps between their times, and their digests, packed."""
        known = self.machines.get(machine)
        if known is None:
            return None
        times, marks = np.array(known.rows, np.int64).reshape(-1, 2).T
        # Steps of a steady clock are all alike and take next to nothing; digests cannot be packed.
        parts = zlib.compress(np.diff(times).astype("<i8").tobytes(), 1), marks.astype("<u4").tobytes()
        return [known.newest, *(binascii.b2a_base64(part, newline=False).decode("ascii") for part in parts)]

    def restore(self, machine: str, value: Any, _version: int) -> None:
        """As `Stage.restore`; beyond the bound on machines those with the oldest rows are left out."""
        newest, *parts = value
        packed, marks = (binascii.a2b_base64(part, strict_mode=True) for part in parts)
        if type(newest) is not int or not NEVER <= newest < -NEVER:
            raise ValueError("the newest time is not a time")
        try:
            steps = np.frombuffer(zlib.decompressobj().decompress(packed, 8 * KNOWN_ROWS), "<i8")
        except zlib.error as error:
            raise ValueError(str(error)) from None
        found = np.frombuffer(marks, "<u4").tolist()
        times = newest - np.append(np.cumsum(steps[::-1])[::-1], 0) if found else steps
        self.machines[machine] = Machine.of(machine, newest, zip(times.tolist(), found, strict=True))
        if len(self.machines) > self.max_machines:
            del self.machines[min(self.machines.values(), key=lambda known: known.newest).name]

    def forget_the_future(self, now: int) -> list[str]:
        """Forgets machines whose newest time cannot be: of a row that came while the clock was wrong."""
        ahead = [name for name, known in self.machines.items() if known.newest > now + self.future_ns]
        for name in ahead:
            del self.machines[name]
            self.moved.add(name)
        return ahead


def _last(rows: slice) -> slice:
    return slice(max(rows.start, rows.stop - KNOWN_ROWS), rows.stop)


def _find_old(
    machine: Machine, times: NDArray[np.int64], values: NDArray[np.float32]
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Each row's reason, and which rows are new, as if they had come one at a time."""
    before = np.maximum.accumulate(np.concatenate([[machine.newest], times]))[:-1]
    fresh = times > before
    own = np.array(digests(values), np.int64)
    before_block = np.array(machine.rows, np.int64).reshape(-1, 2)
    known_times = np.append(before_block[:, 0], times[fresh])
    known_digests = np.append(before_block[:, 1], own[fresh])
    # Only the last `KNOWN_ROWS` before a row are known to it, however the rows are cut into blocks.
    count = len(before_block) + np.cumsum(fresh) - fresh
    place = np.searchsorted(known_times, times)
    known = (place < count) & (place >= count - KNOWN_ROWS)
    known[known] = known_times[place[known]] == times[known]
    same = known.copy()
    same[known] = known_digests[place[known]] == own[known]
    reasons = np.where(known, np.int8(Reason.CONFLICTING), np.int8(Reason.TOO_LATE))
    reasons[same] = Reason.REPEATED
    reasons[fresh] = Reason.NONE
    return reasons, fresh
