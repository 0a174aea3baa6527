"""The channels as nodes: what `trainer.detector.fusion` computes, node for node.

`run` scores a row at a time, where every node costs about as much as every other, whatever it computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.detector import TINY
from trainer.detector.channels import SUDDEN

if TYPE_CHECKING:
    from export.builder import Builder, State
    from trainer.detector.channels import Channels, Usual
    from trainer.detector.smoothing import ScoreSmoothing

__all__ = ["write_fusion"]


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
    matrix = graph.constant("whitening.matrix", channels.matrix)
    weights = graph.constant("channels.weights", channels.weights)

    def view(name: str, of: str, usual: Usual) -> tuple[str, str]:
        """The squares, and the score."""
        white = graph.node("MatMul", f"{name}_white", of, matrix)
        squares = graph.node("Mul", f"{name}_squares", white, white)
        sums = graph.constant(f"{name}.energies", channels.energies(usual))
        energies = graph.node("Gemm", f"{name}_energies", squares, sums, _tiny(graph))
        logarithms = graph.node("Log", f"{name}_logarithms", energies)
        return squares, graph.node(
            "Exp", f"{name}_score", graph.node("MatMul", f"{name}_mean", logarithms, weights)
        )

    seen, own = view("fixed", residuals, channels.fixed)
    if baseline:
        away = graph.node("Sub", "away_from_baseline", residuals, "baseline")
        lowest = graph.node("Sub", "lowest", graph.constant("zero", np.asarray(0.0, np.float32)), "bound")
        within = graph.node("Max", "adapted_residuals", graph.node("Min", "at_most", away, "bound"), lowest)
        adapted, other = view("adapted", within, channels.adapted)
        both = graph.node("Add", "both_scores", own, other)
        part, rest = (
            graph.node("Div", "adapted_part", own, both),
            graph.node("Div", "fixed_part", other, both),
        )
        of_fixed = graph.node("Mul", "of_fixed", rest, seen)
        seen = graph.node("Add", "seen", of_fixed, graph.node("Mul", "of_adapted", part, adapted))
        ends = graph.axes("row_0", 0), graph.axes("sensors", sensors), graph.axes("sensor_axis", 1)
        levels = graph.node("Slice", "levels", "baseline", *ends)
        reproduced = graph.node("Add", "explained", reproduced, graph.node("Mul", "shift", part, levels))
        own = graph.node("Min", "own_score", own, other)
    shares = graph.node("MatMul", "shares", seen, graph.constant("sensors.shares", channels.shares))
    _write_errors(graph, state, smoothing, shares, own, sensors)
    return reproduced


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
        remains = graph.constant("sudden.remains", channels.remains)
        found.append(graph.node("Sub", "sudden", known, graph.node("Mul", "remaining", remains, last)))
    return found


def _write_errors(
    graph: Builder, state: State, smoothing: ScoreSmoothing | None, shares: str, own: str, sensors: int
) -> None:
    """The outputs `score` and `errors`, smoothed if they are."""
    total = _sum(graph, "shares_sum", shares, sensors)
    by = graph.node("Div", "score_by_sum", own, total)
    if smoothing is None:
        graph.node("Mul", "errors", shares, by)
        # Not the score itself, which may be a number where what explains it no longer is.
        graph.node("ReduceSum", "score", "errors", graph.axes("sensor_axis", 1), keepdims=0)
        return
    own_errors = graph.node("Mul", "own_errors", shares, by)
    cap = graph.constant("smoothing.cap", np.asarray(smoothing.cap, np.float32))
    kept = graph.node("Div", "capped_by_sum", graph.node("Min", "capped_score", own, cap), total)
    capped = graph.node("Mul", "capped", shares, kept)
    series = graph.node("Concat", "series", state.before("smoothed"), capped, axis=0)
    state.keep_last("smoothed", series)
    image = graph.image("mean_image", series)
    pooled = graph.node("AveragePool", "mean_pooled", image, kernel_shape=[smoothing.rows, 1])
    mean = graph.rows("mean", pooled)
    held = _sum(graph, "held", mean, sensors)
    above = graph.node("Relu", "held_above_own", graph.node("Sub", "held_less_own", held, own))
    raised = graph.node("Div", "raised_part", above, held)
    graph.node("Add", "errors", own_errors, graph.node("Mul", "raised", mean, raised))
    graph.node("ReduceSum", "score", "errors", graph.axes("sensor_axis", 1), keepdims=0)


def _sum(graph: Builder, name: str, values: str, sensors: int) -> str:
    """[rows, 1] the sum of each row of [rows, sensors], never 0."""
    ones = graph.shared("sensor_ones", np.ones((sensors, 1), np.float32))
    return graph.node("Gemm", name, values, ones, _tiny(graph))


def _tiny(graph: Builder) -> str:
    return graph.shared("tiny", np.asarray(TINY, np.float32))
