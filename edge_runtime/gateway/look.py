"""A look at a feed: what comes within some seconds, judged by an engine of its own, and stored nowhere."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.engine.accounts import Accounts
from edge_runtime.engine.status import by_sensor
from edge_runtime.records import COMPLETE, Reason, Verdict
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.engine.engine import Engine
    from edge_runtime.records import Results
    from edge_runtime.sources.base import Source

__all__ = ["FIRST_VERDICTS", "Look", "Seen", "look", "zone_words"]

FIRST_VERDICTS = 10
# A file is read as fast as it goes, and a stretch of it says enough.
MAX_ROWS = 5000
AGREEING = 10
MAX_SPEED = 2.0
QUARTER_S = 900.0
OFF_BY_S = 5.0


@dataclass(slots=True)
class Seen:
    """What came of one machine.

    Attributes:
        times: Of its rows, nanoseconds since the epoch.
        offsets: Of rows that came as they were measured: arrival minus time, in seconds.
        verdicts: Label to number of rows.
    """

    times: list[int] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    _last: tuple[int, float] | None = None

    def follows(self, newest: int, at: float) -> bool:
        """Whether rows up to this time, which came at this second, are new; those of a backlog come faster.

        They are not when their time moves on more than twice as far as the clock since the last ones came.
        """
        before, self._last = self._last, (newest, at)
        return before is not None and newest - before[0] <= MAX_SPEED * (at - before[1]) * 1e9

    @property
    def gap_s(self) -> float | None:
        """The median of the seconds between two rows; None of fewer than three rows."""
        if len(self.times) < 3:  # noqa: PLR2004 - two gaps
            return None
        return float(np.median(np.diff(np.sort(self.times)))) / 1e9

    @property
    def offset_s(self) -> float | None:
        """By how much its clock is behind ours, in seconds; negative where it is ahead."""
        return float(np.median(self.offsets)) if self.offsets else None


@dataclass(slots=True)
class Look:
    """What came.

    Attributes:
        seconds: For how long it was looked.
        machines: Machine to what came of it.
        first: The first rows, as JSON-ready values.
        accounts: Rows by what became of them.
        sensors_never: Sensors that no row had.
    """

    seconds: float = 0.0
    machines: dict[str, Seen] = field(default_factory=dict)
    first: list[dict[str, Any]] = field(default_factory=list)
    accounts: Accounts = field(default_factory=Accounts)
    sensors_never: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return self.accounts.counters["read"]


def look(
    source: Source,
    engine: Engine,
    seconds: float,
    *,
    now_ns: Callable[[], int],
    clock: Callable[[], float],
) -> Look:
    """Reads for so many seconds, or to the source's end, or until enough of a file was seen.

    Raises:
        EdgeDetectError: The source failed.
    """
    names = engine.bundle.metadata.sensor_names
    found, started = Look(accounts=Accounts(names)), clock()
    came = np.zeros(len(names), np.bool_)
    # A source that waits is closed by the clock.
    timer = threading.Timer(seconds, source.close)
    timer.daemon = True
    timer.start()
    try:
        for batch in source.batches(None):
            now = now_ns()
            judged = engine.feed(batch.readings, now=now if source.live else None, arrival=now_ns)
            results, old = judged.split()
            skipped = Counter(batch.skipped)
            skipped.update(old)
            found.accounts.add(results, skipped, batch.unreadable)
            if len(results):
                came |= ~np.isnan(results.readings.values).all(axis=0)
                _add(found, results, (now, clock()) if source.live else None, engine)
            if clock() - started >= seconds or (not source.live and found.rows >= MAX_ROWS):
                break
    finally:
        timer.cancel()
        source.close()
    found.sensors_never = tuple(name for name, one in zip(names, came.tolist(), strict=True) if not one)
    found.seconds = clock() - started
    return found


def _add(found: Look, results: Results, arrived: tuple[int, float] | None, engine: Engine) -> None:
    """Takes results that came at this time, and this second of the clock; None where that says nothing."""
    readings = results.readings
    fresh = set[str]()
    if arrived is not None:
        times = readings.groups.gather(readings.times)
        for name, part in readings.groups:
            seen = found.machines.setdefault(name, Seen())
            if seen.follows(int(times[part].max()), arrived[1]):
                fresh.add(name)
    for row, (name, time) in enumerate(zip(readings.machines.tolist(), readings.times.tolist(), strict=True)):
        seen = found.machines.setdefault(name, Seen())
        seen.times.append(time)
        seen.verdicts[Verdict(results.verdicts.item(row)).label] += 1
        if arrived is not None and name in fresh:
            seen.offsets.append((arrived[0] - time) / 1e9)
        if len(found.first) < FIRST_VERDICTS:
            found.first.append(_row(results, row, engine))


def _row(results: Results, row: int, engine: Engine) -> dict[str, Any]:
    verdict = Verdict(results.verdicts.item(row))
    readings = results.readings
    found: dict[str, Any] = {
        "time": format_time(readings.times.item(row)),
        "machine_id": readings.machines[row].item(),
        "verdict": verdict.label,
    }
    names = engine.bundle.metadata.sensor_names
    if results.faults is not None and (status := by_sensor(results.faults[row], names)):
        found["sensor_status"] = status
    if verdict is Verdict.UNKNOWN:
        return {**found, "reason": Reason(results.reasons.item(row)).label}
    top = int(np.argmax(results.scores.errors[row]))
    sensor = engine.bundle.metadata.sensors[top]
    if results.degraded is not None and (place := results.degraded.item(row)) != COMPLETE:
        found["degraded"] = names[place]
    return {
        **found,
        "severity": round(results.severity.item(row), 3),
        "sensor": sensor.name,
        "unit": sensor.unit,
        "actual": float(f"{readings.values[row, top]:.4g}"),
        "expected": float(f"{results.scores.expected[row, top]:.4g}"),
    }


def zone_words(offset_s: float, rows: int) -> str | None:
    """What an offset means that is a whole number of quarter hours, two or more."""
    quarters = round(offset_s / QUARTER_S)
    if rows < AGREEING or abs(quarters) < 2 or abs(offset_s - quarters * QUARTER_S) > OFF_BY_S:  # noqa: PLR2004
        return None
    behind = "behind" if offset_s > 0 else "ahead of"
    return (
        f"its times are {abs(quarters) / 4:g} h {behind} this gateway's clock: they may be local times "
        "without a zone; write them in UTC, or with their zone"
    )
