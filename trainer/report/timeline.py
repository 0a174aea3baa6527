"""Every machine's scores over the whole test, one strip each, thin enough to be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.dates import date2num
from matplotlib.ticker import FuncFormatter, LogFormatter, NullFormatter

from trainer.data.stretches import HOLE_STEPS
from trainer.experiment.plots import ANOMALY, LIMIT, QUIET, new_figure, plain, time_axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from trainer.report.scored import Scored

__all__ = ["moments", "peaks", "plain_ticks", "shade", "strip_figures"]

BUCKETS = 1200
# Of the strip's width, the narrowest that an event is drawn.
MIN_WIDTH = 1 / 800
LOWEST, HIGHEST = 1e-3, 1e6
# Machines a figure, so that one fits on a printed page.
STRIPS = 6
# Of all the time, what most machines must cover for all to have the same axis.
SHARED = 0.5


def peaks(
    times: NDArray[np.int64], values: NDArray[np.float64], buckets: int, gap_ns: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The highest value of each bucket of time, so that no spike is lost; NaN where there is a hole.

    Args:
        times: [rows] ns, ascending.
        values: [rows].
        buckets: At most so many, besides the holes; fewer rows stay as they are.
        gap_ns: So long without a row is a hole.

    Returns:
        The time of each bucket's highest row, ns, and its value.
    """
    if len(times) > buckets:
        bucket = ((times - times[0]) * (buckets / (float(times[-1] - times[0]) + 1))).astype(np.int64)
        # Of each bucket the last in order of value.
        order = np.lexsort((values, bucket))
        last = np.append(bucket[order][1:] != bucket[order][:-1], True)
        at = order[last]
    else:
        at = np.arange(len(times))
    rows = np.flatnonzero(np.diff(times) > gap_ns)
    # A hole is drawn just after the last row before it.
    moments = np.concatenate([times[at], times[rows] + 1])
    found = np.concatenate([values[at], np.full(len(rows), np.nan)])
    order = np.argsort(moments, kind="stable")
    return moments[order], found[order]


def strip_figures(scored: Scored, machines: Sequence[str]) -> Iterator[Figure]:
    """Score over threshold of these machines, flagged rows marked, labelled events shaded; some a figure.

    Their axes of time are the same where most machines were watched for most of the time.
    """
    spans = {machine: np.ptp(scored.times[scored.of(machine)]) for machine in machines}
    first, last = scored.times.min(), scored.times.max()
    shared = float(np.median(list(spans.values()))) >= SHARED * float(last - first)
    for i in range(0, len(machines), STRIPS):
        names = machines[i : i + STRIPS]
        height = 1.3 if shared else 1.7
        figure, axes = new_figure(len(names), 1, (11.0, height * len(names) + 0.7), sharex=shared)
        for axis, machine in zip(axes, names, strict=True):
            _strip(axis, scored, machine)
            time_axis(axis)
            if axis is not axes[-1]:
                axis.set_xlabel("")
        if shared and last > first:
            axes[0].set_xlim(*moments(np.array([first, last])))
        figure.supylabel("score over threshold", fontsize=9)
        yield figure


def shade(axis: Axes, scored: Scored, rows: slice, *, least_ns: float) -> None:
    """Shades the labelled events among these rows of one machine, each at least this wide.

    The axis ends with the rows.
    """
    first, last = scored.times[rows][[0, -1]]
    bars = []
    for event in scored.events:
        if event.machine == scored.machines[rows.start] and event.start <= last and event.stop >= first:
            half = int(max(event.stop - event.start, least_ns) / 2)
            middle = (event.stop + event.start) // 2
            start, stop = moments(np.array([middle - half, middle + half]))
            bars.append((start, stop - start))
    if bars:
        axis.broken_barh(bars, (0, 1), transform=axis.get_xaxis_transform(), color=ANOMALY, alpha=0.25, lw=0)
    if last > first:
        axis.set_xlim(*moments(np.array([first, last])))


def moments(times: NDArray[np.int64]) -> list[float]:
    """Times in ns as matplotlib counts them."""
    found: list[float] = date2num(times.astype("datetime64[ns]")).tolist()  # type: ignore[no-untyped-call]
    return found


def plain_ticks(axis: Axis, *, minor: bool = False) -> None:
    """Numbers of a logarithmic axis as 0.01 and 10 rather than as powers; between them only if asked for."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(LogFormatter(labelOnlyBase=False) if minor else NullFormatter())


def _strip(axis: Axes, scored: Scored, machine: str) -> None:
    rows = scored.of(machine)
    times, flagged = scored.times[rows], scored.flagged[rows]
    severity = np.clip(scored.severity[rows], LOWEST, HIGHEST)
    gap = HOLE_STEPS * scored.step_ns(machine)
    when, highest = peaks(times, severity, BUCKETS, gap)
    axis.semilogy(when.astype("datetime64[ns]"), highest, color=QUIET, lw=0.7)
    if flagged.any():
        when, highest = peaks(times[flagged], severity[flagged], BUCKETS, np.inf)
        axis.plot(when.astype("datetime64[ns]"), highest, ".", color=ANOMALY, ms=2.5)
    axis.axhline(1.0, color=LIMIT, ls="--", lw=0.8)
    shade(axis, scored, rows, least_ns=float(np.ptp(times)) * MIN_WIDTH)
    plain_ticks(axis.yaxis)
    axis.set_title(plain(machine), loc="left", fontsize=9)
