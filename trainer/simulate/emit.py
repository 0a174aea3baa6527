"""Simulated machines into a CSV or an InfluxDB: a stretch of history at once, or live at some speed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_runtime.errors import UsageError
from edge_runtime.simulation import SENSORS, Event, Kind, Simulator
from trainer.data.rows import LabelledRows, RowWriter, iso_times, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO


__all__ = ["CsvTarget", "Fleet", "Target", "emit_history", "emit_live"]

BLOCK_ROWS = 20_000
LIVE_BLOCK_ROWS = 5_000
SHORTEST_WAIT_S = 0.001
LABELS = np.array([kind.label for kind in Kind])


class Target(Protocol):
    """A place that simulated rows go to."""

    def rows(self, rows: LabelledRows) -> None:
        """Takes rows, oldest first."""

    def events(self, events: Sequence[Event]) -> None:
        """Takes the events that began within the rows just taken."""

    def flush(self) -> None:
        """Makes everything taken so far visible to readers."""


class Fleet:
    """Some simulated machines that tick together.

    Args:
        simulators: One a machine, with one start and one cadence.

    Attributes:
        events: How many events began in the blocks drawn so far.
    """

    def __init__(self, simulators: Sequence[Simulator]) -> None:
        names = [simulator.machine.name for simulator in simulators]
        if not names:
            raise UsageError("no machine to simulate", hint="--machines 1")
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"two machines are named '{name}'", where="--machine")
        self._simulators = tuple(simulators)
        self._names = np.array(names)
        self.events = 0

    @property
    def size(self) -> int:
        """Number of machines."""
        return len(self._simulators)

    def block(self, ticks: int) -> tuple[LabelledRows, list[Event]]:
        """The next ticks of every machine, ordered by time, and the events that begin in them."""
        blocks = [simulator.block(ticks) for simulator in self._simulators]
        # Decimals as a sensor would send them, rather than the digits of a float32.
        values = np.stack([block.values for block in blocks], axis=1).astype(np.float64).round(4)
        kinds = np.stack([block.kinds for block in blocks], axis=1).reshape(-1)
        events = [event for simulator in self._simulators for event in simulator.take_events()]
        self.events += len(events)
        rows = LabelledRows(
            times=np.repeat(blocks[0].times, self.size),
            machines=np.tile(self._names, ticks),
            values=values.reshape(-1, len(SENSORS)),
            anomaly=kinds != Kind.NONE,
            kinds=LABELS[kinds],
        )
        return rows, sorted(events, key=lambda event: (event.start_ns, event.machine))


def emit_history(fleet: Fleet, target: Target, *, ticks: int, progress: Callable[[int], None]) -> None:
    """Writes a stretch as fast as it goes.

    Args:
        fleet: The machines.
        target: Where the rows go.
        ticks: Rows of each machine.
        progress: Called with the number of ticks just written.
    """
    step = max(1, BLOCK_ROWS // fleet.size)
    for first in range(0, ticks, step):
        count = min(step, ticks - first)
        rows, events = fleet.block(count)
        target.rows(rows)
        target.events(events)
        progress(count)
    target.flush()


def emit_live(
    fleet: Fleet,
    target: Target,
    *,
    cadence: float,
    speed: float,
    ticks: int | None,
    now: Callable[[], float],
    wait: Callable[[float], bool],
) -> int:
    """Writes each row when its time has come, until the stretch ends or `wait` says stop.

    Args:
        fleet: The machines.
        target: Where the rows go.
        cadence: Seconds between rows of a machine.
        speed: Simulated seconds a second.
        ticks: Rows of each machine; None for no end.
        now: A monotonic clock in seconds.
        wait: Waits so many seconds, or returns True early when it is time to stop.

    Returns:
        Number of ticks written.
    """
    began, done = now(), 0
    step = max(1, LIVE_BLOCK_ROWS // fleet.size)
    while ticks is None or done < ticks:
        due = int((now() - began) * speed / cadence) + 1
        if ticks is not None:
            due = min(due, ticks)
        if due <= done:
            # Less than the clock can show would be waited for in vain, for ever.
            if wait(max(done * cadence / speed - (now() - began), SHORTEST_WAIT_S)):
                break
            continue
        count = min(due - done, step)
        rows, events = fleet.block(count)
        target.rows(rows)
        target.events(events)
        target.flush()
        done += count
        if wait(0.0):
            break
    return done


class CsvTarget:
    """Rows as CSV on one stream, events as CSV on another.

    Args:
        stream: For the rows; binary.
        events_stream: For the events; binary, None to leave them out.
    """

    def __init__(self, stream: IO[bytes], events_stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._writer = RowWriter(stream, SENSORS)
        self._events = events_stream
        if events_stream:
            events_stream.write(b"machine_id,kind,sensors,start,stop,onset\n")

    def rows(self, rows: LabelledRows) -> None:
        """Appends rows."""
        self._writer.write(rows)

    def events(self, events: Sequence[Event]) -> None:
        """Appends events."""
        if self._events is None:
            return
        for event in events:
            start, stop, onset = iso_times(np.array([event.start_ns, event.stop_ns, event.onset_ns]))
            names = " ".join(event.sensors)
            line = f"{quoted(event.machine)},{event.kind.name},{names},{start},{stop},{onset}\n"
            self._events.write(line.encode())

    def flush(self) -> None:
        """Hands everything to the operating system."""
        self._stream.flush()
        if self._events:
            self._events.flush()
