"""The channels of a detector, and the slow baseline that their levels are followed with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from edge_runtime.bundle.judging import Baseline, BaselineState
from edge_runtime.errors import TrainingError
from trainer.data.redundant import moving
from trainer.data.stretches import by_machine
from trainer.detector import Detector
from trainer.detector.channels import LASTING, NETWORK, SENSORS, SUDDEN, Channel, Channels, Usual
from trainer.detector.following import Following
from trainer.detector.fusion import TINY, Fusion
from trainer.detector.whitening import ResidualWhitening
from trainer.fitting.rows import MIN_VAL_ROWS, normal_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.split import Split
    from trainer.detector.parts import DetectorParts
    from trainer.detector.scaler import SensorScaler
    from trainer.models.base import Network

__all__ = ["ChannelOptions", "fit_channels", "make_baseline", "own_variance"]

# What counts as usual: this quantile of normal validation rows.
USUAL = 0.9955
# The least variance of any direction of the lasting channel, in parts of its own. No history has many means
# over many rows, so that little is known of their rarer directions.
LASTING_FLOOR = 0.1
# Deviations beyond which a distance counts no more in the channels that look back.
REACH = 5.0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """Which channels there are beside the network's and the sensors', and how all are fitted.

    Attributes:
        floor: The least variance of any direction, in parts of the sensors' own.
        lasting: Rows of the lasting channel's mean; 0 for no such channel.
        lasting_weight: How much that counts beside the network's.
        sudden: How much the sudden channel counts beside the network's; 0 for no such channel.
        horizon: Rows over which the levels are followed; None for no baseline.
    """

    floor: float
    lasting: int = 0
    lasting_weight: float = 0.35
    sudden: float = 0.0
    horizon: float | None = None


def fit_channels(parts: DetectorParts, train: Split, val: Split, options: ChannelOptions) -> DetectorParts:
    """A detector whose rows are judged by several channels, with the baseline that was asked for.

    The whitenings are fitted on the normal training rows, what is usual on the normal validation rows, where
    every machine's baseline begins at its first row, as on a gateway.

    Args:
        parts: The trained network, its scaler, and what it is shown.
        train: Whose normal rows the whitenings are fitted on.
        val: Whose normal rows say what is usual.
        options: Which channels, and how.

    Raises:
        TrainingError: Nothing moves, or validation has too few normal rows.
    """
    rows, normal = train.passed, train.normal[train.passed]
    readings = train.values[rows]
    residual = Detector(parts).residuals(readings, train.times[rows], train.machines[rows])
    _shift(parts.network, residual[normal].astype(np.float64).mean(0))
    own = own_variance(parts.scaler, readings[normal])
    level = parts.scaler.transform(readings[normal]).astype(np.float64).mean(0)
    reach = (REACH * np.sqrt(np.where(own > 0, own, 1.0))).astype(np.float32)
    channels = _not_whitened(level, reach, _remaining(parts.scaler, train, level), options)
    columns = _columns(parts, channels, train)[normal].astype(np.float64)
    of_channels = np.split(columns, len(channels.parts), axis=1)
    channels = replace(
        channels,
        parts=tuple(
            replace(part, whitening=_whitening(part, residuals, own, options.floor))
            for part, residuals in zip(channels.parts, of_channels, strict=True)
        ),
    )
    if options.horizon is not None:
        least = LEAST_MOVEMENT * np.where(own > 0, own, 1.0)
        spread = np.sqrt(np.concatenate([residuals.var(0) + least for residuals in of_channels]))
        parts = replace(parts, baseline=make_baseline(spread, options.horizon))
    parts = replace(parts, channels=channels, whitening=None)
    return replace(parts, channels=_with_usual(parts, channels, val))


def _not_whitened(
    level: NDArray[np.float64],
    reach: NDArray[np.float32],
    remains: NDArray[np.float32],
    options: ChannelOptions,
) -> Channels:
    """The channels as they are before anything is known of their residuals."""
    count = len(level)
    one = np.eye(count, dtype=np.float32)
    weights = {
        NETWORK: 1.0,
        SENSORS: 1.0,
        LASTING: options.lasting_weight if options.lasting else 0.0,
        SUDDEN: options.sudden,
    }
    parts = tuple(
        Channel(
            name, ResidualWhitening((level if name == SENSORS else 0 * level).astype(np.float32), one), weight
        )
        for name, weight in weights.items()
        if weight
    )
    unit = Usual((1.0,) * len(parts), 1.0)
    return Channels(parts, max(1, options.lasting), reach, remains, unit, unit)


def _remaining(scaler: SensorScaler, train: Split, level: NDArray[np.float64]) -> NDArray[np.float32]:
    """[sensors] which part of a distance remains a row later: the autocorrelation at a lag of one row."""
    products, squares = np.zeros((2, len(level)))
    for _, rows in by_machine(train.times, train.machines):
        place = rows[train.finite[rows]]
        away = scaler.transform(train.values[place]).astype(np.float64) - level
        normal = train.normal[place]
        pairs = normal[1:] & normal[:-1]
        products += (away[1:] * away[:-1])[pairs].sum(0)
        squares += (away[:-1] ** 2)[pairs].sum(0)
    found = np.divide(products, squares, out=np.zeros(len(level)), where=squares > 0)
    return np.clip(found, 0.0, 1.0).astype(np.float32)


def _columns(parts: DetectorParts, channels: Channels, split: Split) -> NDArray[np.float32]:
    """[passed rows, columns] the channels' residuals."""
    detector = Detector(replace(parts, channels=channels, whitening=None, smoothing=None))
    passed = np.flatnonzero(split.passed)
    columns = len(channels.parts) * len(channels.level)
    found = np.empty((len(passed), columns), np.float32)
    for _, rows in by_machine(split.times[passed], split.machines[passed]):
        own = passed[rows]
        found[rows] = detector.channel_residual_rows(split.values[own], split.times[own])
    return found


def _whitening(
    part: Channel, residuals: NDArray[np.float64], own: NDArray[np.float64], floor: float
) -> ResidualWhitening:
    """Of one channel's residuals, [rows, sensors], those of normal rows."""
    centre = part.whitening.centre.astype(np.float64)
    if part.name in (LASTING, SUDDEN):
        own = np.where(own > 0, residuals.var(0), 0.0)
        floor = LASTING_FLOOR if part.name == LASTING else floor
    return ResidualWhitening.floored(centre, _covariance(residuals), own, floor)


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
    first = _usual(channels, np.concatenate(fixed))
    second = _usual(channels, np.concatenate(adapted)) if adapted else first
    return replace(channels, fixed=first, adapted=second)


def _usual(channels: Channels, squares: NDArray[np.float32]) -> Usual:
    """Of [rows, columns] squares.

    Raises:
        TrainingError: Nothing moves in them.
    """
    energies = squares.astype(np.float64).reshape(len(squares), len(channels.parts), -1).mean(2)
    usual = np.quantile(energies, USUAL, axis=0)
    if not usual.min() > 0:
        raise TrainingError(
            "no sensor moves in validation, so nothing can be called usual",
            hint="check that the sensors' columns change",
        )
    parts = np.maximum(energies / usual, TINY)
    score = np.exp(np.log(parts) @ channels.weights.astype(np.float64)[:, 0])
    return Usual(tuple(usual.tolist()), float(np.quantile(score, USUAL)))
