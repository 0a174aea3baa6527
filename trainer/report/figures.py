"""The plots that only the report has: a stretch by sensor, a finding, and alarms against thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.data.stretches import HOLE_STEPS, Stretch
from trainer.experiment.plots import ANOMALY, LIMIT, MODEL, NORMAL, QUIET, new_figure, plain, time_axis
from trainer.report.alarm_rate import thresholds
from trainer.report.svg import SENSOR_COLOURS
from trainer.report.timeline import HIGHEST, LOWEST, peaks, plain_ticks, shade

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Sensor
    from trainer.report.alarm_rate import Foretold, NormalRows
    from trainer.report.findings import Finding
    from trainer.report.scored import Scored

__all__ = ["around", "calibration_figure", "finding_figure", "stretch_figure", "stretch_to_show"]

MAX_ROWS = 2000
MIN_STEPS = 60
MAX_SENSORS = len(SENSOR_COLOURS)
SPLIT_COLOURS = {"validation": NORMAL, "test": MODEL}


def stretch_to_show(scored: Scored) -> Stretch:
    """The longest event that was flagged somewhere, else the longest, else where the score is highest."""
    if scored.events:
        return max(scored.events, key=lambda e: (scored.flagged[scored.within(e)].any(), e.stop - e.start))
    peak = int(np.argmax(np.where(scored.counted, scored.severity, -1.0)))
    return Stretch(str(scored.machines[peak]), int(scored.times[peak]), int(scored.times[peak]))


def around(scored: Scored, stretch: Stretch) -> slice:
    """The rows of a stretch, with as much before and after it as it is long, and a minute at 1 Hz or more."""
    margin = int(max(stretch.stop - stretch.start, MIN_STEPS * scored.step_ns(stretch.machine)))
    return scored.within(Stretch(stretch.machine, stretch.start - margin, stretch.stop + margin))


def stretch_figure(scored: Scored, stretch: Stretch, sensors: Sequence[Sensor]) -> Figure:
    """Readings and what was expected, sensor by sensor, and below what each adds to the score.

    Of many sensors, those with the largest errors.
    """
    window = around(scored, stretch)
    rows = _thin(window, scored.severity)
    errors = scored.errors[rows] * (scored.severity[rows] / np.maximum(scored.scores[rows], 1e-30))[:, None]
    shown = np.sort(np.argsort(-errors.max(0), kind="stable")[:MAX_SENSORS])
    figure, axes = new_figure(len(shown) + 1, 1, (11.0, 1.3 * len(shown) + 3.0), sharex=True)
    for axis, i in zip(axes, shown, strict=False):
        _readings(axis, scored, rows, i, sensors[i])
    axis = axes[-1]
    when = scored.times[rows].astype("datetime64[ns]")
    for colour, i in zip(SENSOR_COLOURS, shown, strict=False):
        height = np.clip(errors[:, i], LOWEST, HIGHEST)
        axis.semilogy(when, height, color=colour, lw=0.9, label=plain(sensors[i].name))
    axis.axhline(1.0, color=LIMIT, ls="--", lw=0.8, label="threshold")
    axis.set_ylabel("error\nover threshold")
    plain_ticks(axis.yaxis)
    for each in axes:
        shade(each, scored, window, least_ns=scored.step_ns(stretch.machine))
    for each in (axes[0], axis):
        each.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    axes[0].set_title(plain(stretch.machine), loc="left")
    time_axis(axis)
    return figure


def finding_figure(scored: Scored, finding: Finding, sensors: Sequence[Sensor]) -> Figure:
    """A finding small: its top sensor as read and as expected, and the score."""
    machine = finding.stretch.machine
    window = around(scored, finding.stretch)
    rows = _thin(window, scored.severity)
    figure, axes = new_figure(2, 1, (5.2, 3.2), sharex=True)
    _readings(axes[0], scored, rows, finding.sensor, sensors[finding.sensor])
    axes[0].legend(frameon=False, fontsize=7, ncol=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    axis, step = axes[1], scored.step_ns(machine)
    severity = np.clip(scored.severity[rows], LOWEST, HIGHEST)
    when, highest = peaks(scored.times[rows], severity, MAX_ROWS, HOLE_STEPS * step)
    axis.semilogy(when.astype("datetime64[ns]"), highest, color=QUIET, lw=0.9)
    flagged = scored.flagged[rows]
    axis.plot(
        scored.times[rows][flagged].astype("datetime64[ns]"), severity[flagged], ".", color=ANOMALY, ms=3
    )
    axis.axhline(1.0, color=LIMIT, ls="--", lw=0.8)
    axis.set_ylabel("score over\nthreshold")
    plain_ticks(axis.yaxis)
    for each in axes:
        shade(each, scored, window, least_ns=step)
    axes[0].set_title(plain(machine), loc="left", fontsize=9)
    time_axis(axis)
    return figure


def calibration_figure(
    splits: Mapping[str, NormalRows], budgets: Sequence[Foretold], threshold: float
) -> Figure:
    """Realised alarms a machine and day against the threshold, and what is foretold of the budgets."""
    known = [one.threshold.value for one in budgets if one.threshold is not None]
    figure, axes = new_figure(1, 1, (9.5, 4.8))
    axis = axes[0]
    at = thresholds(list(splits.values()), [threshold, *known])
    for name, rows in splits.items():
        rates = np.array([rows.rate(float(value)) for value in at])
        days = f"{rows.machine_days:.3g} machine-days"
        axis.step(
            at, np.where(rates > 0, rates, np.nan), where="post", color=SPLIT_COLOURS[name], lw=1.6,
            label=f"{name}, {days}",
        )  # fmt: skip
        if rows.machine_days:
            axis.axhline(1 / rows.machine_days, color=SPLIT_COLOURS[name], lw=0.8, ls=":")
    lowest = min([one.budget.per_day for one in budgets])
    for one in budgets:
        if one.threshold is None:
            continue
        low, high = (max(bound, lowest / 4) for bound in one.interval_per_day)
        axis.plot([one.threshold.value] * 2, [low, high], color=ANOMALY, lw=1.4)
        axis.plot([one.threshold.value], [one.budget.per_day], "o", color=ANOMALY, ms=5)
        axis.annotate(
            str(one.budget), (one.threshold.value, one.budget.per_day), (6, 4), textcoords="offset points"
        )
    if known:
        axis.plot([], [], "o-", color=ANOMALY, ms=5, lw=1.4, label="predicted, in 9 periods of 10")
    axis.axvline(threshold, color=LIMIT, ls="--", lw=1, label=f"this run's threshold, {threshold:.4g}")
    axis.set(xscale="log", yscale="log", xlabel="threshold", ylabel="alarms per machine and day")
    axis.set_ylim(bottom=lowest / 4)
    plain_ticks(axis.yaxis)
    plain_ticks(axis.xaxis, minor=True)
    axis.legend(frameon=False)
    return figure


def _readings(axis: Axes, scored: Scored, rows: NDArray[np.intp], i: int, sensor: Sensor) -> None:
    when = scored.times[rows].astype("datetime64[ns]")
    axis.plot(when, scored.values[rows, i], color=NORMAL, lw=0.9, label="read")
    axis.plot(when, scored.expected[rows, i], color=MODEL, lw=0.9, label="expected")
    axis.set_ylabel(plain(f"{sensor.name}\n{sensor.unit}" if sensor.unit else sensor.name))


def _thin(rows: slice, severity: NDArray[np.float64]) -> NDArray[np.intp]:
    """At most so many rows as can be told apart, of each bucket the one with the highest score."""
    index = np.arange(rows.start, rows.stop)
    if len(index) <= MAX_ROWS:
        return index
    bucket = np.arange(len(index)) * MAX_ROWS // len(index)
    order = np.lexsort((severity[index], bucket))
    return np.sort(index[order[np.append(np.diff(bucket[order]) > 0, True)]])
