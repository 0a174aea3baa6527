"""What a split was found to hold: rows, labels, missing readings, and holes in time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.text.survey import MISSED_ROWS
from trainer.data.rows import iso_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.rows import LabelledRows

__all__ = ["MISSED_ROWS", "Cadence", "Hole", "Tally", "cadence_of"]

LISTED_HOLES = 20


class Tally:
    """Counts one split, page by page.

    Args:
        sensors: The rows' columns.
        labelled: Whether the rows are; where not, anomalies are not counted as none.
    """

    def __init__(self, sensors: Sequence[str], *, labelled: bool = True) -> None:
        self._sensors = tuple(sensors)
        self.labelled = labelled
        self.rows = 0
        self.ignored = 0
        self.anomalies = 0
        self.rows_by_machine: Counter[str] = Counter()
        self.usable_by_machine: Counter[str] = Counter()
        self.kinds: dict[str, Counter[str]] = {}
        self._anomalies_by_machine: Counter[str] = Counter()
        self._empty = np.zeros(len(self._sensors), np.int64)
        self._rows_with_empty = 0
        self._first: int | None = None
        self._last = 0

    def add(self, rows: LabelledRows) -> None:
        """Counts a page."""
        if not len(rows):
            return
        self.rows += len(rows)
        self.anomalies += int(rows.anomaly.sum())
        self.ignored += 0 if rows.ignored is None else int(rows.ignored.sum())
        if self._first is None:
            self._first = int(rows.times[0])
        self._last = int(rows.times[-1])
        empty = ~np.isfinite(rows.values)
        self._empty += empty.sum(0)
        self._rows_with_empty += int(empty.any(1).sum())
        # A network is trained on rows with every reading that are normal.
        usable = ~empty.any(1) & ~rows.anomaly
        if rows.ignored is not None:
            usable &= ~rows.ignored
        names, codes = np.unique(rows.machines, return_inverse=True)
        for counter, chosen in (
            (self.rows_by_machine, codes),
            (self.usable_by_machine, codes[usable]),
            (self._anomalies_by_machine, codes[rows.anomaly]),
        ):
            counts = np.bincount(chosen, minlength=len(names))
            counter.update({name: n for name, n in zip(names.tolist(), counts.tolist(), strict=True) if n})
        for machine in np.unique(rows.machines[rows.anomaly]):
            chosen = rows.anomaly & (rows.machines == machine)
            _count(self.kinds.setdefault(str(machine), Counter()), rows.kinds[chosen])

    def anomalies_of(self, machine: str) -> int:
        """Number of anomalous rows of a machine."""
        return self._anomalies_by_machine[machine]

    def to_dict(self) -> dict[str, Any]:
        """The counts as JSON-ready values."""
        first, last = iso_times(np.array([self._first or 0, self._last])).tolist()
        return {
            "start": first if self.rows else None,
            "stop": last if self.rows else None,
            "rows": self.rows,
            "anomalies": self.anomalies if self.labelled else None,
            "ignored": self.ignored,
            "machines": {
                machine: {
                    "rows": rows,
                    "anomalies": self._anomalies_by_machine[machine] if self.labelled else None,
                    "kinds": dict(sorted(self.kinds.get(machine, {}).items())),
                }
                for machine, rows in sorted(self.rows_by_machine.items())
            },
            "rows_with_missing_readings": self._rows_with_empty,
            "missing_readings": dict(zip(self._sensors, self._empty.tolist(), strict=True)),
        }


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch without rows: the last one before it and the first one after it, nanoseconds."""

    machine: str
    after_ns: int
    until_ns: int

    def to_dict(self) -> dict[str, Any]:
        """The hole as JSON-ready values."""
        after, until = iso_times(np.array([self.after_ns, self.until_ns])).tolist()
        return {
            "machine_id": self.machine,
            "after": after,
            "until": until,
            "seconds": (self.until_ns - self.after_ns) / 1e9,
        }


@dataclass(slots=True)
class Cadence:
    """Follows each machine's steps in time.

    Attributes:
        step_ns: The usual time between two rows of a machine; 0 until it is known.
        holes: How many steps were too long.
        missing_ns: Their length beyond one usual step, summed.
        longest: The longest of them, longest first.
    """

    step_ns: int = 0
    holes: int = 0
    missing_ns: int = 0
    longest: list[Hole] = field(default_factory=list)
    _last: dict[str, int] = field(default_factory=dict)

    def add(self, rows: LabelledRows) -> None:
        """Follows a page; the first one with two rows of a machine sets the cadence."""
        if not self.step_ns:
            self.step_ns = cadence_of(rows)
        for name in np.unique(rows.machines):
            machine = str(name)
            times = rows.times[rows.machines == name]
            if machine in self._last:
                times = np.concatenate([[self._last[machine]], times])
            self._last[machine] = int(times[-1])
            if self.step_ns:
                self._follow(machine, times)

    def _follow(self, machine: str, times: NDArray[np.int64]) -> None:
        steps = np.diff(times)
        for i in np.flatnonzero(steps > MISSED_ROWS * self.step_ns):
            self.holes += 1
            self.missing_ns += int(steps[i]) - self.step_ns
            self.longest.append(Hole(machine, int(times[i]), int(times[i + 1])))
        self.longest.sort(key=lambda hole: (hole.after_ns - hole.until_ns, hole.after_ns, hole.machine))
        del self.longest[LISTED_HOLES:]


def cadence_of(rows: LabelledRows) -> int:
    """The median step between two rows of one machine, nanoseconds; 0 where no machine has two rows."""
    steps = [np.diff(rows.times[rows.machines == machine]) for machine in np.unique(rows.machines)]
    joined = np.concatenate(steps) if steps else np.empty(0, np.int64)
    return int(np.median(joined)) if len(joined) else 0


def _count(counter: Counter[str], texts: NDArray[np.str_]) -> None:
    values, counts = np.unique(texts, return_counts=True)
    counter.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
