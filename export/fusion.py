"""The channels as nodes: what `trainer.detector.fusion` computes.

`run` scores a row at a time, where every node costs about as much as every other, whatever it computes. So
both views are computed side by side, and a product with a matrix that is mostly zeros takes the place of
several nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.detector import TINY
from trainer.detector.channels import SUDDEN, diagonal

if TYPE_CHECKING:
    from export.builder import Builder, State
    from trainer.detector.channels import Channels
    from trainer.detector.smoothing import ScoreSmoothing

__all__ = ["write_fusion"]

# Up to so many sensors one product whitens all channels of both views: mostly zeros, but one node.
NARROW = 12


def write_fusion(
    graph: Builder,
    state: State,
    channels: Channels,
    smoothing: ScoreSmoothing | None,
    scaled: str,
    reproduced: str,
    *,
    baseline: bool,
) -> str:
    """The outputs `score` and `errors`, and `residuals` where there is a baseline.

    Args:
        graph: Where the nodes go.
        state: Where the last rows' errors are kept.
        channels: As they were fitted.
        smoothing: Of the score; None for none.
        scaled: [rows, sensors] scaled readings.
        reproduced: [rows, sensors] what the network made of them.
        baseline: Whether there is a slow one.

    Returns:
        [rows, sensors] scaled readings as they are expected, with the levels of the view that fits better.
    """
    sensors = len(channels.level)
    level = graph.constant("sensors.level", channels.level)
    residual = graph.node("Sub", "residual", scaled, reproduced)
    distance = graph.node("Sub", "distance", scaled, level)
    others = _write_others(graph, state, channels, distance)
    residuals = graph.node("Concat", "residuals", residual, distance, *others, axis=1)
    views, usual = [residuals], [channels.fixed]
    if baseline:
        views.append(_write_adapted(graph, residuals))
        usual.append(channels.adapted)
    white = _write_white(graph, channels, views)
    squares = graph.node("Mul", "white_squares", white, white)
    sums = graph.constant("channels.energies", diagonal([channels.energies(view) for view in usual]))
    weights = graph.constant("channels.weights", diagonal([channels.weights] * len(views)))
    logarithms = graph.node("Log", "logarithms", graph.node("Gemm", "energies", squares, sums, _tiny(graph)))
    mean = graph.node("MatMul", "mean_logarithms", logarithms, weights)
    score = graph.node("Exp", "scores", mean)
    if baseline:
        scores, columns = score, len(channels.parts) * sensors
        score = graph.node("ReduceMin", "own_score", scores, axes=[1], keepdims=1)
        # A view explains a row as much as the other view's score is part of both.
        parts = graph.node("Softmax", "parts", mean, axis=1)
        crossed = np.repeat(np.eye(2, dtype=np.float32)[::-1], columns, axis=1)
        of_column = graph.node("MatMul", "part_of_column", parts, graph.constant("views.crossed", crossed))
        squares = graph.node("Mul", "seen", of_column, squares)
        levels = graph.columns("levels", "baseline", 0, sensors)
        none = graph.constant("no_levels", np.zeros((1, sensors), np.float32))
        shifts = graph.node("Concat", "shifts", levels, none, axis=0)
        reproduced = graph.node("Gemm", "explained", parts, shifts, reproduced)
    by_sensor = graph.constant("sensors.shares", np.tile(channels.shares, (len(views), 1)))
    shares = graph.node("MatMul", "shares", squares, by_sensor)
    _write_errors(graph, state, smoothing, shares, score, sensors)
    return reproduced


def _write_adapted(graph: Builder, residuals: str) -> str:
    """[rows, columns] about the slow baseline, and within the bound."""
    away = graph.node("Sub", "away_from_baseline", residuals, "baseline")
    lowest = graph.node("Sub", "lowest", _zero(graph), "bound")
    return graph.node("Max", "adapted_residuals", graph.node("Min", "at_most", away, "bound"), lowest)


def _write_white(graph: Builder, channels: Channels, views: list[str]) -> str:
    """[rows, columns of all views] the white residuals."""
    matrices = [part.whitening.matrix for part in channels.parts]
    together = graph.node("Concat", "views", *views, axis=1) if len(views) > 1 else views[0]
    sensors = len(channels.level)
    if sensors <= NARROW:
        whole = graph.constant("whitening.matrix", diagonal(matrices * len(views)))
        return graph.node("MatMul", "white", together, whole)
    names = [graph.constant(f"whitening{i}.matrix", matrix) for i, matrix in enumerate(matrices)]
    found = []
    for i, name in enumerate(names * len(views)):
        own = graph.columns(f"view{i}", together, i * sensors, (i + 1) * sensors)
        found.append(graph.node("MatMul", f"white{i}", own, name))
    return graph.node("Concat", "white", *found, axis=1)


def _write_others(graph: Builder, state: State, channels: Channels, distance: str) -> list[str]:
    """The residuals of the channels that look back."""
    if not channels.history:
        return []
    reach = channels.reach
    below = graph.node("Min", "not_above_reach", distance, graph.constant("reach.high", reach))
    known = graph.node("Max", "known_distance", below, graph.constant("reach.low", -reach))
    series = graph.node("Concat", "distance_series", state.before("distances"), known, axis=0)
    state.keep_last("distances", series)
    found = []
    if channels.rows > 1:
        image = graph.image("distance_image", series)
        pooled = graph.node("AveragePool", "lasting_pooled", image, kernel_shape=[channels.rows, 1])
        found.append(graph.rows("lasting", pooled))
    if SUDDEN in channels.names:
        last = graph.slice("last_distance", series, channels.history - 1, -1)
        gone = graph.constant("sudden.gone", np.diag(-channels.remains))
        found.append(graph.node("Gemm", "sudden", last, gone, known))
    return found


def _write_errors(
    graph: Builder, state: State, smoothing: ScoreSmoothing | None, shares: str, own: str, sensors: int
) -> None:
    """The outputs `score` and `errors`, smoothed if they are."""
    ones = graph.constant("sensor_ones", np.ones((sensors, 1), np.float32))
    total = graph.node("Gemm", "shares_sum", shares, ones, _tiny(graph))
    of_one = graph.node("Div", "shares_of_one", shares, total)
    if smoothing is None:
        graph.node("Mul", "errors", of_one, own)
        # Not the score itself, which may be a number where what explains it no longer is.
        graph.node("ReduceSum", "score", "errors", graph.axes("sensor_axis", 1), keepdims=0)
        return
    own_errors = graph.node("Mul", "own_errors", of_one, own)
    ends = _zero(graph), graph.constant("smoothing.cap", np.asarray(smoothing.cap, np.float32))
    capped = graph.node("Mul", "capped", of_one, graph.node("Clip", "capped_score", own, *ends))
    series = graph.node("Concat", "series", state.before("smoothed"), capped, axis=0)
    state.keep_last("smoothed", series)
    image = graph.image("mean_image", series)
    pooled = graph.node("AveragePool", "mean_pooled", image, kernel_shape=[smoothing.rows, 1])
    mean = graph.rows("mean", pooled)
    graph.node("Max", "errors", own_errors, mean)
    graph.node("ReduceSum", "score", "errors", graph.axes("sensor_axis", 1), keepdims=0)


def _zero(graph: Builder) -> str:
    return graph.shared("zero", np.asarray(0.0, np.float32))


def _tiny(graph: Builder) -> str:
    return graph.shared("tiny", np.asarray(TINY, np.float32))
