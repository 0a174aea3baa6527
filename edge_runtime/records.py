"""The columnar records that flow through the runtime: blocks of rows, never one object a row."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.conversion import machine_name, nanoseconds, numbers
from edge_runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["COMPLETE", "NO_TIME", "Groups", "Readings", "Reason", "Results", "Scores", "Verdict"]


# The time of a row that came without one, until it gets that of its arrival.
NO_TIME = -(2**63)
# In place of a sensor: none of the row was filled.
COMPLETE = -1


class Verdict(IntEnum):
    """What a row was found to be; the label is what every sink writes."""

    NORMAL = 0
    ANOMALY = 1
    UNKNOWN = 2

    @property
    def label(self) -> str:
        """The lower-case name that sinks write."""
        return self.name.lower()


class Reason(IntEnum):
    """Why a row's verdict is unknown; NONE for every other row."""

    NONE = 0
    WARMING_UP = 1
    MISSING = 2
    NOT_FINITE = 3
    OUT_OF_RANGE = 4
    REPEATED = 5
    CONFLICTING = 6
    TOO_LATE = 7
    TIME_IN_THE_FUTURE = 8
    TOO_MANY_MACHINES = 9
    FLAT = 10
    TOO_STEEP = 11

    @property
    def label(self) -> str:
        """The words that sinks write; empty for NONE."""
        return "" if self is Reason.NONE else self.name.lower().replace("_", " ")


class Readings:
    """A block of raw readings, in the order in which they are to be scored; not to be changed once made.

    Machine ids are kept as a dictionary of names and a code a row, so that no row costs a string.

    Args:
        machines: [rows] machine ids; kept as a numpy unicode array.
        times: [rows] nanoseconds since the epoch, UTC, or `datetime64`; kept as int64.
        values: [rows, sensors] in raw units, NaN where a reading is missing; kept as float32.

    Raises:
        InputError: A time or a reading is of another kind, or the shapes do not fit.
    """

    __slots__ = ("_codes", "_groups", "_machines", "_names", "times", "values")
    _names: tuple[str, ...]
    _codes: NDArray[np.integer[Any]] | None
    _machines: NDArray[np.str_] | None
    _groups: Groups | None

    def __init__(self, machines: ArrayLike, times: ArrayLike, values: ArrayLike) -> None:
        machines, times, values = np.asarray(machines), nanoseconds(times), numbers(values)
        rows = len(times)
        if machines.shape != (rows,) or values.ndim != 2 or values.shape[0] != rows:  # noqa: PLR2004
            raise InputError(
                f"shapes do not fit: machines {machines.shape}, times {times.shape}, values {values.shape}"
            )
        if machines.dtype.kind != "U":
            machines = np.asarray([machine_name(name) for name in machines.tolist()], np.str_)
        self.times, self.values = times, values
        self._machines, self._names, self._codes, self._groups = machines, (), None, None

    @classmethod
    def coded(
        cls,
        names: tuple[str, ...],
        codes: NDArray[np.integer[Any]] | None,
        times: NDArray[np.int64],
        values: NDArray[np.float32],
    ) -> Readings:
        """The same with machine ids as codes.

        Args:
            names: Machine ids, each once; not all need to be in use.
            codes: [rows] places in `names`; None when every row is of the first.
            times: As above.
            values: As above.
        """
        self = cls.__new__(cls)
        self.times, self.values = times, values
        self._machines, self._names, self._codes, self._groups = None, names, codes, None
        return self

    def __len__(self) -> int:
        return len(self.times)

    @property
    def machines(self) -> NDArray[np.str_]:
        """[rows] machine ids, a numpy unicode array."""
        if self._machines is None:
            names = np.asarray(self._names, np.str_)
            self._machines = names[np.zeros(len(self), np.intp) if self._codes is None else self._codes]
        return self._machines

    @property
    def machine(self) -> str:
        """The first row's machine id."""
        if self._names:
            return self._names[0 if self._codes is None else self._codes[0]]
        return str(self.machines[0])

    @property
    def dictionary(self) -> tuple[tuple[str, ...], NDArray[np.integer[Any]]]:
        """Machine ids, each once, and each row's place among them; some may be of no row."""
        if not self._names and len(self):
            names, self._codes = np.unique(self.machines, return_inverse=True)
            self._names = tuple(names.tolist())
        return self._names, np.zeros(len(self), np.intp) if self._codes is None else self._codes

    @property
    def groups(self) -> Groups:
        """The rows machine by machine."""
        if self._groups is None:
            self._groups = self._group()
        return self._groups

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Readings:
        """The rows that a numpy index, mask or slice selects."""
        times, values = self.times[index], self.values[index]
        if self._names:
            codes = None if self._codes is None else self._codes[index]
            return Readings.coded(self._names, codes, times, values)
        return Readings(self.machines[index], times, values)

    def with_values(self, values: NDArray[np.float32]) -> Readings:
        """The same rows with other readings, [rows, sensors]."""
        other = copy(self)
        other.values = values
        return other

    @staticmethod
    def empty(sensors: int) -> Readings:
        """A block without rows."""
        return Readings(np.empty(0, np.str_), np.empty(0, np.int64), np.empty((0, sensors), np.float32))

    @staticmethod
    def joined(blocks: Sequence[Readings]) -> Readings:
        """Blocks, at least one, one after the other."""
        if len(blocks) == 1:
            return blocks[0]
        names: dict[str, int] = {}
        codes = []
        for block in blocks:
            known, of_row = block.dictionary
            places = np.array([names.setdefault(name, len(names)) for name in known], np.intp)
            codes.append(places[of_row])
        return Readings.coded(
            tuple(names),
            np.concatenate(codes),
            np.concatenate([block.times for block in blocks]),
            np.concatenate([block.values for block in blocks]),
        )

    def _group(self) -> Groups:
        rows = len(self)
        if not rows:
            return Groups((), None, (0,))
        if not self._names:
            machines = self.machines
            if rows == 1 or (machines == machines[0]).all():
                self._names = (str(machines[0]),)
        if self._names and self._codes is None:
            return Groups(self._names[:1], None, (0, rows))
        names, codes = self.dictionary
        steps = np.flatnonzero(codes[1:] != codes[:-1])
        if len(steps) < len(names):
            first = [int(codes[0]), *codes[steps + 1].tolist()]
            if len(set(first)) == len(first):  # machine by machine already
                return Groups(tuple(names[code] for code in first), None, (0, *(steps + 1).tolist(), rows))
        order = np.argsort(codes, kind="stable")
        ordered = codes[order]
        starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
        return Groups(
            tuple(names[code] for code in ordered[starts].tolist()), order, (*starts.tolist(), rows)
        )


@dataclass(frozen=True, slots=True)
class Groups:
    """The rows of a block machine by machine.

    Attributes:
        names: The machines.
        order: [rows] the rows' numbers, machine by machine, each machine's in their own order; None when
            they lie so already.
        bounds: Where in that order each machine's rows begin, and the end of the last one's.
    """

    names: tuple[str, ...]
    order: NDArray[np.intp] | None
    bounds: tuple[int, ...]

    @staticmethod
    def of(machines: NDArray[np.str_]) -> Groups:
        """The groups of [rows] machine ids."""
        rows = len(machines)
        return Readings(machines, np.empty(rows, np.int64), np.empty((rows, 0), np.float32)).groups

    def __iter__(self) -> Iterator[tuple[str, slice]]:
        """Each machine and where its rows are in the order."""
        return ((name, slice(*self.bounds[i : i + 2])) for i, name in enumerate(self.names))

    def gather(self, rows: NDArray[Any]) -> NDArray[Any]:
        """A column in this order."""
        return rows if self.order is None else rows[self.order]

    def scatter(self, ordered: NDArray[Any]) -> NDArray[Any]:
        """A column in this order, back in the block's own."""
        if self.order is None:
            return ordered
        rows = np.empty_like(ordered)
        rows[self.order] = ordered
        return rows


# These two are made once a row on the hot path: frozen ones would take three times as long.
@dataclass(slots=True, eq=False)
class Scores:
    """What the model made of a block of rows.

    Attributes:
        score: [rows] float32 anomaly score, unclamped, higher is worse; NaN where a row was not scored.
        errors: [rows, sensors] float32 reconstruction error, each sensor's share; sums to the score.
        expected: [rows, sensors] float32, what the model expected, raw units.
    """

    score: NDArray[np.float32]
    errors: NDArray[np.float32]
    expected: NDArray[np.float32]

    @staticmethod
    def empty(rows: int, sensors: int) -> Scores:
        """Room for a block's scores."""
        return Scores(
            np.empty(rows, np.float32),
            np.empty((rows, sensors), np.float32),
            np.empty((rows, sensors), np.float32),
        )

    @staticmethod
    def unknown(rows: int, sensors: int) -> Scores:
        """A block of which nothing is known: NaN all over."""
        scores = Scores.empty(rows, sensors)
        scores.forget(slice(None))
        return scores

    def forget(self, rows: NDArray[np.bool_] | slice) -> None:
        """Makes these rows NaN, in place."""
        self.score[rows] = self.errors[rows] = self.expected[rows] = np.nan

    def put(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice, part: Scores) -> None:
        """Writes a part into these rows, in place."""
        self.score[rows], self.errors[rows], self.expected[rows] = part.score, part.errors, part.expected

    @staticmethod
    def joined(blocks: Sequence[Scores]) -> Scores:
        """Blocks, at least one, one after the other."""
        if len(blocks) == 1:
            return blocks[0]
        return Scores(
            np.concatenate([block.score for block in blocks]),
            np.concatenate([block.errors for block in blocks]),
            np.concatenate([block.expected for block in blocks]),
        )

    def __len__(self) -> int:
        return len(self.score)


@dataclass(slots=True, eq=False)
class Results:
    """A block of readings with everything that was found about them: what sinks receive.

    Attributes:
        readings: The block, as it was read.
        scores: The model's output, row by row.
        severity: [rows] float32, score divided by the threshold: above 1 is over the threshold.
        verdicts: [rows] int8 codes of `Verdict`.
        reasons: [rows] int8 codes of `Reason`.
        degraded: [rows] int16, the place of the one sensor without which the row was judged, or `COMPLETE`;
            None where no row was judged without one.
        faults: [rows, sensors] int8 codes of `Reason`: why a sensor's reading cannot be used; NONE for one
            that can. None where all can be used.
    """

    readings: Readings
    scores: Scores
    severity: NDArray[np.float32]
    verdicts: NDArray[np.int8]
    reasons: NDArray[np.int8]
    degraded: NDArray[np.int16] | None = None
    faults: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.readings)

    def take(self, rows: NDArray[np.intp] | slice) -> Results:
        """These rows; of a slice, they share the arrays."""
        scores = self.scores
        return Results(
            self.readings.take(rows),
            Scores(scores.score[rows], scores.errors[rows], scores.expected[rows]),
            self.severity[rows],
            self.verdicts[rows],
            self.reasons[rows],
            None if self.degraded is None else self.degraded[rows],
            None if self.faults is None else self.faults[rows],
        )

    @staticmethod
    def joined(blocks: Sequence[Results]) -> Results:
        """Blocks, at least one, one after the other."""
        if len(blocks) == 1:
            return blocks[0]
        return Results(
            Readings.joined([block.readings for block in blocks]),
            Scores.joined([block.scores for block in blocks]),
            np.concatenate([block.severity for block in blocks]),
            np.concatenate([block.verdicts for block in blocks]),
            np.concatenate([block.reasons for block in blocks]),
            _joined_places(blocks),
            _joined_faults(blocks),
        )


def _joined_places(blocks: Sequence[Results]) -> NDArray[np.int16] | None:
    """The column `degraded` of several blocks."""
    if all(block.degraded is None for block in blocks):
        return None
    return np.concatenate(
        [
            np.full(len(block), COMPLETE, np.int16) if block.degraded is None else block.degraded
            for block in blocks
        ]
    )


def _joined_faults(blocks: Sequence[Results]) -> NDArray[np.int8] | None:
    """The columns `faults` of several blocks."""
    if all(block.faults is None for block in blocks):
        return None
    return np.concatenate(
        [
            np.zeros(block.readings.values.shape, np.int8) if block.faults is None else block.faults
            for block in blocks
        ]
    )
