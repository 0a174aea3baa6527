"""Which rows are anomalous by recorded events: who, what, from when to when."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, counted, listed
from trainer.data.tables import column_names, read_table, times_ns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from trainer.data.rows import LabelledRows

__all__ = ["EventLabels", "LabelledEvent", "events_from_file"]


@dataclass(frozen=True, slots=True)
class LabelledEvent:
    """A stretch of one machine's time that somebody recorded.

    Attributes:
        machine: Machine id.
        kind: What happened.
        start_ns: Its first moment.
        stop_ns: The first moment after it.
    """

    machine: str
    kind: str
    start_ns: int
    stop_ns: int


class EventLabels:
    """Labels the rows within recorded events; where two overlap, the later one names the kind.

    Args:
        events: In any order.
        described: Where they come from, as JSON-ready values.
        wanted: Machines whose events are to label something, which is told otherwise; None for all. Empty
            where somebody else tells.
    """

    labelled = True

    def __init__(
        self,
        events: Iterable[LabelledEvent],
        described: Mapping[str, Any],
        wanted: Collection[str] | None = (),
    ) -> None:
        self._described = dict(described)
        self._wanted, self._seen = wanted, set[str]()
        self._by_machine: dict[str, list[LabelledEvent]] = {}
        for event in sorted(events, key=lambda e: e.start_ns):
            self._by_machine.setdefault(event.machine, []).append(event)
        self._longest = {
            m: max(e.stop_ns - e.start_ns for e in events) for m, events in self._by_machine.items()
        }
        self._starts = {m: [e.start_ns for e in events] for m, events in self._by_machine.items()}

    @property
    def count(self) -> int:
        """Number of events."""
        return sum(map(len, self._by_machine.values()))

    def label(self, rows: LabelledRows) -> LabelledRows:
        """Rows must be ordered by time."""
        kinds = np.full(len(rows), "", dtype=f"<U{self._width()}")
        anomaly = np.zeros(len(rows), np.bool_)
        if not len(rows):
            return replace(rows, anomaly=anomaly, kinds=kinds, ignored=None)
        for machine in np.unique(rows.machines):
            self._seen.add(str(machine))
            events = self._by_machine.get(str(machine), [])
            if not events:
                continue
            index = np.flatnonzero(rows.machines == machine)
            times = rows.times[index]
            starts = self._starts[str(machine)]
            first = np.searchsorted(starts, times[0] - self._longest[str(machine)])
            last = np.searchsorted(starts, times[-1], side="right")
            for event in events[first:last]:
                low, high = np.searchsorted(times, (event.start_ns, event.stop_ns))
                anomaly[index[low:high]] = True
                kinds[index[low:high]] = event.kind
        return replace(rows, anomaly=anomaly, kinds=kinds, ignored=None)

    def describe(self) -> dict[str, Any]:
        """Where the events come from, how many there are, and which of them label nothing."""
        strangers = {
            machine: len(events)
            for machine, events in sorted(self._by_machine.items())
            if machine not in self._seen and (self._wanted is None or machine in self._wanted)
        }
        label = counted(sum(strangers.values()), "event labels", "events label")
        remark = f"{label} nothing, as there is no row of their machines: {listed(strangers)}"
        remarks = {"remark": remark} if strangers else {}
        return {"method": "events", **self._described, "events": self.count, **remarks}

    def _width(self) -> int:
        return max((len(e.kind) for events in self._by_machine.values() for e in events), default=1) or 1


def events_from_file(path: Path) -> list[LabelledEvent]:
    """Events from a table with the columns machine_id, kind, start and stop.

    Raises:
        InputError: The table cannot be read, a column is missing, or a stop is before its start.
    """
    names = column_names(path)
    for name in ("machine_id", "kind", "start", "stop"):
        if name not in names:
            raise InputError(
                f"no column '{name}'",
                where=str(path),
                hint="an events file has machine_id, kind, start and stop",
            )
    frame = read_table(path, may_be_empty=True)
    if frame.empty:
        return []
    starts, stops = times_ns(frame, "start", path), times_ns(frame, "stop", path)
    for row in np.flatnonzero(stops < starts)[:1]:
        raise InputError("an event stops before it starts", where=f"{path}: line {int(row) + 2}")
    machines, kinds = frame["machine_id"].astype(str).tolist(), frame["kind"].fillna("").astype(str).tolist()
    return [
        LabelledEvent(*event) for event in zip(machines, kinds, starts.tolist(), stops.tolist(), strict=True)
    ]
