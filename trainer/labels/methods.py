"""Which rows are anomalous: by fixed limits, by how far they are from the usual, as they came, or none.

Recorded events are in `event_labels.py`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from trainer.data.rows import LabelledRows

__all__ = [
    "DEFAULT_LIMITS",
    "CarriedLabels",
    "Labeller",
    "Moments",
    "NoLabels",
    "StatisticalLabels",
    "ThresholdLabels",
    "parse_limit",
]

Limit = tuple[float, float]
DEFAULT_LIMITS: dict[str, Limit] = {
    "temperature": (-math.inf, 85.0),
    "vibration": (-math.inf, 2.5),
    "pressure": (30.0, 70.0),
    "power": (-math.inf, 400.0),
}


class Labeller(Protocol):
    """Puts labels on rows.

    Attributes:
        labelled: Whether it does; where not, nobody knows which rows are anomalous.
    """

    labelled: bool

    def label(self, rows: LabelledRows) -> LabelledRows:
        """The same rows with `anomaly`, `kinds` and `ignored` set."""
        ...

    def describe(self) -> dict[str, Any]:
        """How it labels, as JSON-ready values."""
        ...


class CarriedLabels:
    """Keeps the labels that the rows came with.

    Args:
        described: Where they come from, as JSON-ready values.
    """

    labelled = True

    def __init__(self, described: Mapping[str, Any]) -> None:
        self._described = dict(described)

    def label(self, rows: LabelledRows) -> LabelledRows:
        """The rows as they are."""
        return rows

    def describe(self) -> dict[str, Any]:
        """Where the labels come from."""
        return {"method": "events", **self._described}


class NoLabels:
    """Says nothing of any row."""

    labelled = False

    def label(self, rows: LabelledRows) -> LabelledRows:
        """The rows without a label."""
        return _labelled(rows, np.zeros(len(rows), np.bool_), "")

    def describe(self) -> dict[str, Any]:
        """That nothing was labelled."""
        return {"method": "none"}


class ThresholdLabels:
    """Labels rows with a reading outside its limits.

    Args:
        limits: Sensor to its lowest and highest normal reading.
        sensors: The rows' columns.

    Raises:
        UsageError: None of the sensors has limits.
    """

    labelled = True

    def __init__(self, limits: Mapping[str, Limit], sensors: Sequence[str]) -> None:
        self._limits = {name: limits[name] for name in sensors if name in limits}
        if not self._limits:
            raise UsageError(
                f"no limits for {', '.join(sensors)}",
                where="--labels threshold",
                hint="give some with --limit NAME=LOW:HIGH",
            )
        self._low = np.array([limits.get(name, (-math.inf, math.inf))[0] for name in sensors])
        self._high = np.array([limits.get(name, (-math.inf, math.inf))[1] for name in sensors])

    def label(self, rows: LabelledRows) -> LabelledRows:
        """A missing reading is outside nothing."""
        outside = (rows.values < self._low) | (rows.values > self._high)
        return _labelled(rows, np.asarray(outside.any(axis=1)), "THRESHOLD")

    def describe(self) -> dict[str, Any]:
        """The limits."""
        shown = {n: [None if math.isinf(x) else x for x in limit] for n, limit in self._limits.items()}
        return {"method": "threshold", "limits": shown}


class Moments:
    """Mean and standard deviation of columns, page by page (Chan et al. 1983)."""

    def __init__(self, sensors: int) -> None:
        self._count = np.zeros(sensors)
        self._mean = np.zeros(sensors)
        self._squares = np.zeros(sensors)

    def add(self, readings: NDArray[np.floating[Any]]) -> None:
        """Takes a page of rows, [rows, sensors]; only finite readings count."""
        values = readings.astype(np.float64)
        finite = np.isfinite(values)
        count = finite.sum(0)
        mean = np.where(finite, values, 0.0).sum(0) / np.maximum(count, 1)
        squares = (np.where(finite, values - mean, 0.0) ** 2).sum(0)
        total = self._count + count
        step = mean - self._mean
        safe = np.maximum(total, 1)
        self._mean = self._mean + step * count / safe
        self._squares = self._squares + squares + step * step * self._count * count / safe
        self._count = total

    @property
    def mean(self) -> NDArray[np.float64]:
        """[sensors]."""
        return self._mean

    @property
    def deviation(self) -> NDArray[np.float64]:
        """[sensors] standard deviation."""
        return np.sqrt(self._squares / np.maximum(self._count, 1))


class StatisticalLabels:
    """Labels rows with a reading far from its mean in training.

    Args:
        moments: Of the training rows alone.
        sigma: How many standard deviations are far.
        sensors: The rows' columns.
    """

    labelled = True

    def __init__(self, moments: Moments, sigma: float, sensors: Sequence[str]) -> None:
        self._moments = moments
        self._sigma = sigma
        self._sensors = tuple(sensors)

    def label(self, rows: LabelledRows) -> LabelledRows:
        """A missing reading is far from nothing."""
        away = np.abs(rows.values - self._moments.mean)
        far = away > self._sigma * self._moments.deviation
        return _labelled(rows, np.asarray(far.any(axis=1)), "STATISTICAL")

    def describe(self) -> dict[str, Any]:
        """Mean and deviation of each sensor, and how many deviations are far."""
        means, deviations = self._moments.mean.tolist(), self._moments.deviation.tolist()
        return {
            "method": "statistical",
            "sigma": self._sigma,
            "mean": dict(zip(self._sensors, means, strict=True)),
            "deviation": dict(zip(self._sensors, deviations, strict=True)),
        }


def parse_limit(text: str) -> tuple[str, Limit]:
    """Reads "temperature=:85", "pressure=30:70" or "level=5:".

    Raises:
        UsageError: Not of this form.
    """
    name, _, bounds = text.partition("=")
    low, colon, high = bounds.partition(":")
    try:
        limit = (float(low) if low.strip() else -math.inf, float(high) if high.strip() else math.inf)
    except ValueError:
        colon = ""
        limit = (0.0, 0.0)
    if not (name.strip() and colon and limit[0] < limit[1]) or limit == (-math.inf, math.inf):
        raise UsageError(
            f"'{text}' is not a limit",
            where="--limit",
            hint="write NAME=LOW:HIGH, such as temperature=:85 or pressure=30:70",
        )
    return name.strip(), limit


def _labelled(rows: LabelledRows, anomaly: NDArray[np.bool_], kind: str) -> LabelledRows:
    return replace(rows, anomaly=anomaly, kinds=np.where(anomaly, kind, ""), ignored=None)
