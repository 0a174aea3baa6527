"""The two channels of a detector, and the slow baseline that their levels are followed with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from edge_runtime.bundle.judging import Baseline, BaselineState
from edge_runtime.errors import TrainingError
from trainer.data.redundant import moving
from trainer.data.stretches import by_machine
from trainer.detector import Detector
from trainer.detector.channels import Channels, Usual
from trainer.detector.following import Following
from trainer.detector.fusion import Fusion
from trainer.detector.whitening import ResidualWhitening
from trainer.fitting.rows import MIN_VAL_ROWS, normal_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.detector.parts import DetectorParts
    from trainer.detector.scaler import SensorScaler
    from trainer.models.base import Network

__all__ = ["fit_channels", "make_baseline", "own_variance"]

# What counts as usual: this quantile of normal validation rows.
USUAL = 0.9955
# Of a sensor's own variance: by so much at least its residual is taken to move.
LEAST_MOVEMENT = 0.01
# A baseline advances so many times over its horizon, but not after fewer rows than the first, nor more than
# the second of these.
ADVANCES = 16
FEWEST_ROWS, MOST_ROWS = 64, 4096
NEAR, FAR, GAIN, PERSISTENT = 3.0, 10_000.0, 4.0, 0.5
# A column that was far off in so large a part of the last rows counts so many times its spread at most.
DOUBTFUL, BOUND = 0.03, 7.0
# Before the golden rows, a baseline is made to stand so far off, and to be about to advance. Then every third
# column, which was far off in so large a part of the last rows, moves this far, and its rows reach a bound.
GOLDEN_LEVEL, GOLDEN_ROWS_LEFT = 0.3, 12
GOLDEN_PERSISTENCE, GOLDEN_LEAP = 0.8, 8.0
UNIT = Usual(1.0, 1.0, 1.0)


def fit_channels(
    parts: DetectorParts, train: Split, val: Split, *, floor: float, horizon: float | None
) -> DetectorParts:
    """A detector whose rows are judged by both channels, with the baseline that was asked for.

    The whitenings are fitted on the normal training rows, what is usual on the normal validation rows, where
    every machine's baseline begins at its first row, as on a gateway.

    Args:
        parts: The trained network, its scaler, and what it is shown.
        train: Whose normal rows the whitenings are fitted on.
        val: Whose normal rows say what is usual.
        floor: The least variance of any direction, in parts of the sensors' own.
        horizon: Rows over which the levels are followed; None for no baseline.

    Raises:
        TrainingError: Nothing moves, or validation has too few normal rows.
    """
    rows, normal = train.passed, train.normal[train.passed]
    readings = train.values[rows]
    residual = Detector(parts).residuals(readings, train.times[rows], train.machines[rows])
    residual = residual[normal].astype(np.float64)
    _shift(parts.network, residual.mean(0))
    readings = readings[normal]
    scaled = parts.scaler.transform(readings).astype(np.float64)
    own = own_variance(parts.scaler, readings)
    channels = Channels(
        ResidualWhitening.floored(np.zeros(len(own)), _covariance(residual), own, floor),
        ResidualWhitening.floored(scaled.mean(0), _covariance(scaled), own, floor),
        UNIT,
        UNIT,
    )
    parts = replace(parts, channels=channels, whitening=None)
    if horizon is not None:
        least = LEAST_MOVEMENT * np.where(own > 0, own, 1.0)
        spread = np.sqrt(np.concatenate([residual.var(0) + least, own + least]))
        parts = replace(parts, baseline=make_baseline(spread, horizon))
    return replace(parts, channels=_with_usual(parts, channels, val))


def own_variance(scaler: SensorScaler, readings: NDArray[np.float32]) -> NDArray[np.float64]:
    """[sensors] variance of scaled readings, [rows, sensors] in raw units; 0 of a sensor that never moves."""
    scaled = scaler.transform(readings).astype(np.float64)
    found: NDArray[np.float64] = np.where(moving(readings), scaled.var(0), 0.0)
    return found


def make_baseline(spread: NDArray[np.float64], horizon: float) -> Baseline:
    """A baseline that follows over so many rows.

    Args:
        spread: [columns] what is usual for a residual.
        horizon: Rows.
    """
    rows = FEWEST_ROWS
    while 2 * rows * ADVANCES <= horizon and 2 * rows <= MOST_ROWS:
        rows *= 2
    signs = np.where(np.arange(len(spread)) % 2, -1.0, 1.0)
    before = rows - GOLDEN_ROWS_LEFT
    away = signs * GOLDEN_LEVEL * spread
    leaps = np.arange(len(spread)) % 3 == 1
    leap = signs * spread * min(GOLDEN_LEAP * horizon / GAIN, before * FAR)
    persistence = np.where(leaps, GOLDEN_PERSISTENCE, np.where(signs > 0, 0.0, 2 * DOUBTFUL))
    return Baseline(
        rows=rows,
        horizon=float(horizon),
        spread=tuple(spread.tolist()),
        near=NEAR,
        far=FAR,
        gain=GAIN,
        persistent=PERSISTENT,
        doubtful=DOUBTFUL,
        bound=BOUND,
        golden=BaselineState(
            values=tuple((-away).tolist()),
            persistence=tuple((signs * persistence).tolist()),
            near=tuple((before * NEAR * away).tolist()),
            far=tuple(np.where(leaps, leap, before * NEAR * away).tolist()),
            beyond=tuple(np.where(leaps, signs * before, 0.0).tolist()),
            rows=before,
        ),
    )


def _covariance(rows: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    return np.atleast_2d(np.cov(rows.T))


@torch.no_grad()
def _shift(network: Network, mean: NDArray[np.float64]) -> None:
    """Lets a network reproduce what it did, and this mean of its residuals more."""
    for chain in network.chains:
        last = chain[-1]
        if isinstance(last, nn.Linear):
            last.bias.add_(torch.from_numpy(mean).to(last.bias))


@torch.no_grad()
def _with_usual(parts: DetectorParts, channels: Channels, val: Split) -> Channels:
    """The channels with what is usual on normal validation rows."""
    normal_rows(val, MIN_VAL_ROWS)
    detector, fusion = Detector(replace(parts, smoothing=None)), Fusion(channels)
    fixed: list[NDArray[np.float32]] = []
    adapted: list[NDArray[np.float32]] = []
    for _, rows in by_machine(val.times, val.machines):
        place = rows[val.finite[rows]]  # what a gateway would score
        if not len(place):
            continue
        normal = val.normal[place]
        residuals = detector.channel_residual_rows(val.values[place], val.times[place])
        fixed.append(fusion.squares(torch.from_numpy(residuals)).numpy()[normal])
        if parts.baseline is not None:
            levels = Following(parts.baseline).follow(residuals)
            moved = fusion.adapted(torch.from_numpy(residuals), levels)
            adapted.append(fusion.squares(moved).numpy()[normal])
    first = _usual(np.concatenate(fixed))
    return replace(channels, fixed=first, adapted=_usual(np.concatenate(adapted)) if adapted else first)


def _usual(squares: NDArray[np.float32]) -> Usual:
    """Of [rows, 2 * sensors] squares.

    Raises:
        TrainingError: Nothing moves in them.
    """
    sensors = squares.shape[1] // 2
    network, distances = (
        part.astype(np.float64).mean(1) for part in (squares[:, :sensors], squares[:, sensors:])
    )
    usual = float(np.quantile(network, USUAL)), float(np.quantile(distances, USUAL))
    if not min(usual) > 0:
        raise TrainingError(
            "no sensor moves in validation, so nothing can be called usual",
            hint="check that the sensors' columns change",
        )
    score = np.sqrt(network / usual[0] * distances / usual[1])
    return Usual(*usual, float(np.quantile(score, USUAL)))
