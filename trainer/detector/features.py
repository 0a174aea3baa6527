"""What a network is shown of a row besides its scaled readings: the rows before it, and the time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from edge_runtime.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MIN_VARIANCE", "InputFeatures"]

MAX_SHOWN = 32
MAX_ROLLED = 512
MAX_HARMONICS = 32
# Under the root of the rolling variance: of a sensor that stands still it is rounding alone.
MIN_VARIANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFeatures:
    """The network's input columns, in this order.

    The scaled readings; those of the rows before, the latest first; the change since the row before; each
    sensor's mean and standard deviation over the last rows; sine and cosine of the phase and its harmonics.
    Before a machine's first row, that row counts as having stood there all along.

    Attributes:
        sensors: Number of sensors.
        window: Rows that are shown whole, the newest among them.
        differences: Whether the change since the row before is shown.
        rolling: Rows of mean and standard deviation, at least 2; 0 for neither.
        period: Length in seconds of what repeats, counted from midnight UTC, such as 86400 for the time of
            day or 60 for a load cycle of a minute; None for no phase.
        harmonics: Sines and cosines of the phase, from the first.
        clamp: How far beyond 0 to 1 a scaled reading is shown as it is; one that lies farther is shown as if
            it lay there. None for all as they are.

    Raises:
        UsageError: A value is out of range.
    """

    sensors: int
    window: int = 1
    differences: bool = False
    rolling: int = 0
    period: float | None = None
    harmonics: int = 3
    clamp: float | None = None

    def __post_init__(self) -> None:
        for option, value, fine in (
            ("--window", self.window, 1 <= self.window <= MAX_SHOWN),
            ("--rolling", self.rolling, self.rolling == 0 or 2 <= self.rolling <= MAX_ROLLED),  # noqa: PLR2004
            ("--period", self.period, self.period is None or 0 < self.period < np.inf),
            ("--harmonics", self.harmonics, 1 <= self.harmonics <= MAX_HARMONICS),
            ("--clamp", self.clamp, self.clamp is None or 0 <= self.clamp < np.inf),
        ):
            if not fine:
                raise UsageError(f"{value} is out of range", where=option)

    @property
    def history(self) -> int:
        """Rows before the newest that are needed."""
        return max(self.window - 1, int(self.differences), self.rolling - 1)

    @property
    def phases(self) -> int:
        """The last columns, which are of the time alone."""
        return 0 if self.period is None else 2 * self.harmonics

    @property
    def columns(self) -> int:
        """Number of columns."""
        shown = self.window + self.differences + 2 * (self.rolling > 0)
        return self.sensors * shown + self.phases

    @property
    def is_plain(self) -> bool:
        """Whether the scaled readings are all there is."""
        return self.columns == self.sensors and self.clamp is None

    @property
    def frequencies(self) -> NDArray[np.float32]:
        """[harmonics] radians a second."""
        found: NDArray[np.float32] = (
            2 * np.pi * np.arange(1, self.harmonics + 1) / (self.period or 1.0)
        ).astype(np.float32)
        return found

    def of(self, series: torch.Tensor, seconds: torch.Tensor | None) -> torch.Tensor:
        """The columns of the rows that have enough rows before them.

        Args:
            series: [history + rows, sensors] scaled, oldest first; or [batch, history + 1, sensors].
            seconds: [rows] or [batch, 1] of the day, UTC; None where there is no phase.

        Returns:
            [rows, columns], or [batch, 1, columns].

        Raises:
            TrainingError: The phase is asked for, and there is no time.
        """
        count = series.shape[-2] - self.history
        if self.clamp is not None:
            series = torch.clamp(series, -self.clamp, 1 + self.clamp)

        def before(rows: int, length: int = count) -> torch.Tensor:
            start = self.history - rows
            return series[..., start : start + length, :]

        parts = [before(rows) for rows in range(self.window)]
        if self.differences:
            parts.append(before(0) - before(1))
        if self.rolling:
            last = before(self.rolling - 1, count + self.rolling - 1)
            mean = _mean(last, self.rolling)
            variance = torch.relu(_mean(last * last, self.rolling) - mean * mean)
            parts += [mean, torch.sqrt(variance + MIN_VARIANCE)]
        if self.period is not None:
            if seconds is None:
                raise TrainingError("the detector asks for the time of day, and the rows have none")
            period = seconds.new_tensor(self.period)
            frequencies = torch.from_numpy(self.frequencies).to(seconds)
            angles = torch.fmod(seconds, period).unsqueeze(-1) * frequencies
            parts += [torch.sin(angles), torch.cos(angles)]
        return torch.cat(parts, -1)

    def to_dict(self) -> dict[str, Any]:
        """The features as JSON-ready values."""
        return asdict(self)

    @staticmethod
    def from_dict(document: dict[str, Any]) -> InputFeatures:
        """The inverse of `to_dict`.

        Raises:
            TrainingError: A field is missing or wrong.
        """
        try:
            return InputFeatures(**document)
        except (TypeError, UsageError) as error:
            raise TrainingError(f"not the description of features ({error})", where="features.json") from None


def _mean(series: torch.Tensor, rows: int) -> torch.Tensor:
    """Of so many rows, each time."""
    return nn.functional.avg_pool2d(series.unsqueeze(-3), (rows, 1), stride=1).squeeze(-3)
