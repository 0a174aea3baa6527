"""The live view on a terminal: each machine's latest row, and the last anomalies."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edge_runtime.records import Reason, Results, Verdict
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["LiveView"]

LAST_ANOMALIES = 8
MOST_MACHINES = 20
BAR_CELLS = 20
FULL_BAR_SEVERITY = 2.0
STYLES = {Verdict.NORMAL: "green", Verdict.ANOMALY: "bold red", Verdict.UNKNOWN: "yellow"}


class LiveView:
    """A view within a `with` block; `watch` takes each block of results.

    Args:
        title: The bundle and the source.
        metadata: The bundle's.
        clock: Seconds that only rise.
    """

    def __init__(self, title: str, metadata: Metadata, clock: Callable[[], float]) -> None:
        from rich.live import Live  # noqa: PLC0415 - for terminals alone

        self._title = title
        self._sensors = metadata.sensors
        self._clock = clock
        self._started = clock()
        self._rows = 0
        self._latest: dict[str, tuple[Results, int]] = {}
        self._anomalies: deque[tuple[str, str, str]] = deque(maxlen=LAST_ANOMALIES)
        self._in_anomaly: set[str] = set()
        self._live = Live(get_renderable=self._draw, refresh_per_second=4, transient=False)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def report(self, line: str) -> None:
        """Prints a line above the view."""
        self._live.console.print(line, markup=False, highlight=False)

    def watch(self, results: Results) -> None:
        """Takes a block."""
        self._rows += len(results)
        machines = results.readings.machines
        for name in np.unique(machines).tolist():
            rows = np.flatnonzero(machines == name)
            self._latest[name] = (results, int(rows[-1]))
            for row in rows.tolist():
                anomalous = results.verdicts[row] == Verdict.ANOMALY
                if anomalous and name not in self._in_anomaly:
                    self._anomalies.appendleft(self._describe(results, row))
                (self._in_anomaly.add if anomalous else self._in_anomaly.discard)(name)

    def _describe(self, results: Results, row: int) -> tuple[str, str, str]:
        """Time, machine, and the sensor that stands out with its actual and expected reading."""
        top = int(np.argmax(results.scores.errors[row]))
        sensor = self._sensors[top]
        actual, expected = results.readings.values[row, top], results.scores.expected[row, top]
        text = f"{sensor.name} {actual:.4g} {sensor.unit}, expected {expected:.4g}"
        return format_time(int(results.readings.times[row])), str(results.readings.machines[row]), text

    def _draw(self) -> Any:
        from rich.console import Group  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        now = Table(expand=True, title=self._title, title_justify="left", caption=self._caption())
        now.add_column("machine")
        now.add_column("verdict")
        now.add_column("score / threshold")
        for sensor in self._sensors:
            now.add_column(f"{sensor.name} {sensor.unit}".strip(), justify="right")
        for name, (results, row) in sorted(self._latest.items())[:MOST_MACHINES]:
            verdict = Verdict(int(results.verdicts[row]))
            label = verdict.label
            if verdict is Verdict.UNKNOWN:
                label += f": {Reason(int(results.reasons[row])).label}"
            readings = zip(results.readings.values[row], results.scores.expected[row], strict=True)
            cells = [f"{actual:.4g} ({expected:.4g})" for actual, expected in readings]
            now.add_row(name, Text(label, STYLES[verdict]), _bar(float(results.severity[row])), *cells)
        last = Table(expand=True, title="Last anomalies", title_justify="left", show_header=False)
        for anomaly in self._anomalies:
            last.add_row(*map(Text, anomaly))
        return Group(now, last) if self._anomalies else now

    def _caption(self) -> str:
        seconds = max(self._clock() - self._started, 1e-9)
        hidden = len(self._latest) - MOST_MACHINES
        more = f", {hidden} more machines" if hidden > 0 else ""
        rate = f"{self._rows:,} rows, {self._rows / seconds:,.0f} a second{more}"
        return f"{rate}; actual (expected). Ctrl-C ends."


def _bar(severity: float) -> str:
    if not np.isfinite(severity):
        return "-"
    cells = min(BAR_CELLS, round(severity / FULL_BAR_SEVERITY * BAR_CELLS))
    return f"{'█' * cells}{'·' * (BAR_CELLS - cells)} {severity:.2f}"
