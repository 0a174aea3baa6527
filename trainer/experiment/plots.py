"""Plots of a training run, as PNG files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import MissingExtraError
from trainer.data.rows import replacing
from trainer.data.stretches import stretches

try:
    # A bare figure draws with Agg and needs neither a display nor pyplot's global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ImportError:
    raise MissingExtraError("drawing plots", "workstation") from None

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.backend_bases import FigureCanvasBase
    from numpy.typing import NDArray

    from trainer.fitting.fit import Epoch

__all__ = [
    "ANOMALY",
    "LIMIT",
    "MODEL",
    "NORMAL",
    "QUIET",
    "curves_figure",
    "lay_out",
    "new_figure",
    "plain",
    "plot_curves",
    "plot_scores",
    "plot_stretch",
    "plot_training",
    "scores_figure",
    "time_axis",
]

NORMAL, ANOMALY, MODEL, LIMIT = "#3b6ea5", "#d1495b", "#e8a33d", "#222222"
QUIET = "#8a8a8a"
BINS = 120
DPI = 130


def plot_training(path: Path, history: Sequence[Epoch]) -> None:
    """The losses and the learning rate over the epochs."""
    numbers = [epoch.number for epoch in history]
    figure, axes = new_figure(1, 1, (8.0, 4.5))
    axis = axes[0]
    marker = "o" if len(history) <= 30 else None  # noqa: PLR2004 - more would run into each other
    axis.plot(numbers, [e.train_loss for e in history], color=NORMAL, marker=marker, ms=3, label="training")
    axis.plot(numbers, [e.val_loss for e in history], color=MODEL, marker=marker, ms=3, label="validation")
    best = [epoch for epoch in history if epoch.best][-1:]
    for epoch in best:
        axis.axvline(epoch.number, color=LIMIT, lw=0.8, ls=":", label=f"kept: epoch {epoch.number}")
    if all(min(e.train_loss, e.val_loss) > 0 for e in history):
        axis.set_yscale("log")
    axis.set(xlabel="epoch", ylabel="mean squared error, scaled", title="Training")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    rate = axis.twinx()
    rate.step(numbers, [e.learning_rate for e in history], where="mid", color="#aaaaaa", lw=1)
    rate.set_yscale("log")
    rate.set_ylabel("learning rate", color="#888888")
    rate.spines["top"].set_visible(False)
    axis.set_zorder(rate.get_zorder() + 1)
    axis.patch.set_visible(False)
    axis.legend(frameon=False)
    _save(figure, path)


def plot_scores(
    path: Path,
    scores: NDArray[np.floating[Any]],
    labels: NDArray[np.bool_] | None,
    threshold: float,
) -> None:
    """Writes `scores_figure`."""
    _save(scores_figure(scores, labels, threshold), path)


def scores_figure(
    scores: NDArray[np.floating[Any]], labels: NDArray[np.bool_] | None, threshold: float
) -> Figure:
    """How the scores of normal and of anomalous rows are spread, and where the threshold cuts.

    Args:
        scores: [rows]; those that are not finite are left out.
        labels: [rows] whether the row is anomalous; None where nobody knows.
        threshold: Of the verdict.
    """
    finite = np.isfinite(scores)
    # Log of zero: a perfect row is drawn at the left edge.
    shown = np.maximum(scores[finite].astype(np.float64), max(threshold, 1e-12) * 1e-4)
    figure, axes = new_figure(1, 1, (8.0, 4.5))
    axis = axes[0]
    edges = np.concatenate([shown, [threshold]])
    edges = edges[edges > 0]
    bins = np.geomspace(edges.min() / 1.05, edges.max() * 1.05, BINS)
    truth = np.zeros(len(shown), np.bool_) if labels is None else labels[finite].astype(np.bool_)
    for rows, colour, name in ((~truth, NORMAL, "normal"), (truth, ANOMALY, "anomalous")):
        if rows.any():
            which = name if labels is not None else "all"
            axis.hist(
                shown[rows], bins.tolist(), color=colour, alpha=0.65, label=f"{which} rows ({rows.sum():,})"
            )
    axis.axvline(threshold, color=LIMIT, ls="--", lw=1, label=f"threshold {threshold:.4g}")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set(xlabel="score", ylabel="rows", title="Scores")
    axis.legend(frameon=False)
    return figure


def plot_curves(path: Path, scores: NDArray[np.floating[Any]], labels: NDArray[np.bool_]) -> None:
    """Writes `curves_figure`."""
    _save(curves_figure(scores, labels), path)


def curves_figure(scores: NDArray[np.floating[Any]], labels: NDArray[np.bool_]) -> Figure:
    """The ROC curve and precision against recall, at every threshold; both classes must be there."""
    from sklearn.metrics import (  # noqa: PLC0415 - slow, and only for this one
        average_precision_score,
        precision_recall_curve,
        roc_auc_score,
        roc_curve,
    )

    known = ~np.isnan(scores)
    ranked, truth = np.nan_to_num(scores[known].astype(np.float64)), labels[known].astype(np.bool_)
    false_rate, true_rate, _ = roc_curve(truth, ranked)
    precision, recall, _ = precision_recall_curve(truth, ranked, drop_intermediate=True)
    figure, (roc, pr) = new_figure(1, 2, (9.5, 4.6))
    roc.plot(false_rate, true_rate, color=NORMAL, lw=1.8)
    roc.plot([0, 1], [0, 1], color="#aaaaaa", lw=0.8, ls="--")
    roc.set(xlabel="normal rows flagged", ylabel="anomalous rows flagged (recall)")
    roc.set_title(f"ROC, area {roc_auc_score(truth, ranked):.3f}")
    pr.step(recall, precision, where="post", color=NORMAL, lw=1.8)
    pr.axhline(float(truth.mean()), color="#aaaaaa", lw=0.8, ls="--")
    pr.set(xlabel="recall", ylabel="precision")
    pr.set_title(f"Precision and recall, average precision {average_precision_score(truth, ranked):.3f}")
    for axis in (roc, pr):
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    return figure


def plot_stretch(  # noqa: PLR0913, PLR0917 - the columns of one picture
    path: Path,
    times: NDArray[np.int64],
    readings: NDArray[np.float32],
    scores: NDArray[np.floating[Any]],
    expected: NDArray[np.float32],
    threshold: float,
    labels: NDArray[np.bool_] | None,
    sensors: Sequence[str],
    units: Sequence[str],
) -> None:
    """A stretch of one machine: every sensor as read and as expected, and the score; events are shaded.

    Args:
        path: The file to write.
        times: [rows] ns, ascending.
        readings: [rows, sensors] raw units.
        scores: [rows].
        expected: [rows, sensors] raw units.
        threshold: Of the verdict.
        labels: [rows] whether the row is anomalous; None where nobody knows.
        sensors: Names.
        units: Their units; empty where unknown.
    """
    when = times.astype("datetime64[ns]")
    figure, axes = new_figure(len(sensors) + 1, 1, (11.0, 1.6 * (len(sensors) + 1) + 1.0), sharex=True)
    for i, (axis, sensor, unit) in enumerate(zip(axes, sensors, units, strict=False)):
        axis.plot(when, readings[:, i], color=NORMAL, lw=0.8, label="read")
        axis.plot(when, expected[:, i], color=MODEL, lw=0.8, label="expected")
        axis.set_ylabel(plain(f"{sensor}\n{unit}" if unit else sensor))
    axis = axes[-1]
    score = np.maximum(scores.astype(np.float64), max(threshold, 1e-12) * 1e-4)
    axis.semilogy(when, score, color=QUIET, lw=0.7)
    above = scores > threshold
    axis.plot(when[above], score[above], ".", color=ANOMALY, ms=3, label="anomaly")
    axis.axhline(threshold, color=LIMIT, ls="--", lw=0.9, label="threshold")
    axis.set_ylabel("score")
    if labels is not None:
        # Drawn from half a step before to half a step after, so that a spike of one row is seen.
        half = int(np.median(np.diff(times)) / 2) if len(times) > 1 else 0
        for event in stretches(times, np.full(len(times), ""), labels.astype(np.bool_)):
            ends = np.array([event.start - half, event.stop + half]).astype("datetime64[ns]")
            start, stop = date2num(ends).tolist()  # type: ignore[no-untyped-call]
            for each in axes:
                each.axvspan(start, stop, color=ANOMALY, alpha=0.18, lw=0)
    time_axis(axis)
    for each in (axes[0], axis):
        each.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)
    axes[0].set_title("A stretch of the test" + ("" if labels is None else ", labelled events shaded"))
    _save(figure, path)


def plain(text: str) -> str:
    """A name from the data as it is: to matplotlib, text between two dollar signs is a formula."""
    return text.replace("$", r"\$")


def time_axis(axis: Axes) -> None:
    """Says the time at the bottom, in as few words as will do."""
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axis.set_xlabel("time, UTC")
    axis.margins(x=0.005)


def new_figure(
    rows: int, columns: int, size: tuple[float, float], *, sharex: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row; `size` in inches."""
    figure = Figure(figsize=size, layout="constrained")
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False, sharex=sharex).ravel())
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def lay_out(figure: Figure, canvas: FigureCanvasBase, dpi: float) -> None:
    """Finds the places of all axes for good: by itself, `savefig` draws everything once more to do so.

    Args:
        figure: To be saved at once.
        canvas: Of the format that it is saved in.
        dpi: That it is saved with.
    """
    figure.set_canvas(canvas)
    figure.set_dpi(dpi)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    figure.set_layout_engine("none")


def _save(figure: Figure, path: Path) -> None:
    lay_out(figure, FigureCanvasAgg(figure), DPI)
    with replacing(path) as stream:
        figure.savefig(stream, format="png", dpi=DPI)
