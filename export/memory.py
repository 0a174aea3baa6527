"""What a graph makes of the rows before: shown to the network, averaged residuals, smoothed errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.detector import TINY
from trainer.detector.features import MIN_VARIANCE

if TYPE_CHECKING:
    from export.builder import Builder, State
    from trainer.detector.averaging import ResidualAverage
    from trainer.detector.features import InputFeatures
    from trainer.detector.smoothing import ScoreSmoothing

__all__ = ["write_average", "write_features", "write_history", "write_smoothing"]


def write_history(graph: Builder, state: State, scaled: str, sensors: int) -> str:
    """The scaled rows with those before them; before a machine's first row, that row."""
    before, started = state.before("history"), state.before("started")
    ones = graph.constant("ones", np.ones((1, sensors), np.float32))
    missing = graph.node("Sub", "missing", ones, started)
    first = graph.node("Mul", "first_if_missing", missing, graph.slice("first", scaled, 0, 1))
    filled = graph.node("Add", "history_filled", before, first)
    series = graph.node("Concat", "history_series", filled, scaled, axis=0)
    state.keep_last("history", series)
    state.keep(ones)
    return series


def write_features(graph: Builder, features: InputFeatures, series: str) -> str:
    """The columns that the network is shown: `trainer.detector.features`, node for node."""
    history = features.history
    if features.clamp is not None:
        low, high = np.asarray([-features.clamp, 1 + features.clamp], np.float32)
        ends = graph.constant("clamp.low", low), graph.constant("clamp.high", high)
        series = graph.node("Clip", "clamped", series, *ends)

    def before(name: str, rows: int) -> str:
        """Each row's, so many rows before; all that is there from then on when the name says so."""
        if not history:
            return series
        # The last `rows` rows have nothing to look ahead to.
        return graph.slice(name, series, history - rows, -rows if rows else np.iinfo(np.int64).max)

    now = before("now", 0)
    parts = [now]
    parts += [before(f"before_{rows}", rows) for rows in range(1, features.window)]
    if features.differences:
        last = parts[1] if features.window > 1 else before("before_1", 1)
        parts.append(graph.node("Sub", "change", now, last))
    if features.rolling:
        recent = graph.slice("rolling_rows", series, history - features.rolling + 1)
        mean = _mean(graph, "rolling", recent, features.rolling)
        squares = _mean(
            graph, "rolling_squares", graph.node("Mul", "squares", recent, recent), features.rolling
        )
        below = graph.node("Mul", "mean_squared", mean, mean)
        spread = graph.node("Relu", "variance", graph.node("Sub", "variance_or_rounding", squares, below))
        least = graph.constant("least_variance", np.asarray(MIN_VARIANCE, np.float32))
        parts += [mean, graph.node("Sqrt", "deviation", graph.node("Add", "variance_above_0", spread, least))]
    if features.period is not None:
        period = graph.constant("period", np.asarray(features.period, np.float32))
        second = graph.node("Mod", "second_of_period", "time_of_day", period, fmod=1)
        column = graph.node("Unsqueeze", "second_column", second, graph.axes("column_axis", 1))
        frequencies = graph.constant("frequencies", features.frequencies.reshape(1, -1))
        angles = graph.node("Mul", "angles", column, frequencies)
        parts += [graph.node("Sin", "sines", angles), graph.node("Cos", "cosines", angles)]
    return parts[0] if len(parts) == 1 else graph.node("Concat", "shown", *parts, axis=1)


def write_average(graph: Builder, state: State, average: ResidualAverage, residual: str) -> str:
    """The residuals' weighted mean over the last rows."""
    series = graph.node("Concat", "residual_series", state.before("averaged"), residual, axis=0)
    state.keep_last("averaged", series)
    kernel = graph.constant("average.kernel", average.weights.reshape(1, 1, -1, 1))
    image = graph.image("residual_image", series)
    averaged = graph.node("Conv", "average_image", image, kernel, kernel_shape=[average.rows, 1])
    return graph.rows("average_residual", averaged)


def write_smoothing(
    graph: Builder, state: State, smoothing: ScoreSmoothing, own_errors: str, sensor_axis: str
) -> None:
    """The errors, held up by the capped mean of the last rows: `trainer.detector`, node for node."""
    tiny = graph.shared("tiny", np.asarray(TINY, np.float32))
    cap = graph.constant("smoothing.cap", np.asarray(smoothing.cap, np.float32))
    one = graph.constant("one", np.asarray(1.0, np.float32))
    own = graph.node("ReduceSum", "own_score", own_errors, sensor_axis, keepdims=1)
    part = graph.node("Div", "cap_over_own", cap, graph.node("Add", "own_and_tiny", own, tiny))
    capped = graph.node("Mul", "capped", own_errors, graph.node("Min", "kept_part", part, one))
    series = graph.node("Concat", "series", state.before("smoothed"), capped, axis=0)
    state.keep_last("smoothed", series)
    mean = _mean(graph, "mean", series, smoothing.rows)
    graph.node("Max", "errors", own_errors, mean)


def _mean(graph: Builder, name: str, series: str, rows: int) -> str:
    """Of so many rows, each time: [rows, columns]."""
    image = graph.image(f"{name}_image", series)
    pooled = graph.node("AveragePool", f"{name}_pooled", image, kernel_shape=[rows, 1])
    return graph.rows(name, pooled)
