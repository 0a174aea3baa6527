"""The detector: scaler, network and score in one module. What this computes is what gets exported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from edge_runtime.errors import TrainingError
from edge_runtime.scoring.baseline import no_baseline
from edge_runtime.scoring.inference import seconds_of_day
from trainer.detector.following import Following, Levels
from trainer.detector.fusion import TINY, Fusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_runtime.bundle.judging import BaselineState
    from edge_runtime.scoring.baseline import Given
    from trainer.detector.parts import DetectorParts
    from trainer.detector.smoothing import ScoreSmoothing

__all__ = ["BLOCK", "Detector"]

BLOCK = 65_536


class Detector(nn.Module):
    """Raw readings in; score, errors and expected readings out.

    The reconstruction error of a sensor is its squared residual, scaled and whitened, divided by the number
    of sensors, so that the errors of a row sum to its score, the mean squared error. A network may be shown
    more than the row, residuals may be averaged over the last rows, and score and errors may be held up by
    those of the rows before: then the detector has a memory.

    Args:
        parts: What it is made of.
    """

    offset: torch.Tensor
    scale: torch.Tensor
    centre: torch.Tensor
    matrix: torch.Tensor
    kernel: torch.Tensor

    def __init__(self, parts: DetectorParts) -> None:
        super().__init__()
        self.parts = parts
        self.network = parts.network
        self.scaler = parts.scaler
        self.features = parts.features
        self.average = parts.average
        self.whitening = parts.whitening
        self.smoothing = parts.smoothing
        self.register_buffer("offset", torch.from_numpy(self.scaler.offset.copy()))
        self.register_buffer("scale", torch.from_numpy(self.scaler.scale.copy()))
        if self.whitening is not None:
            self.register_buffer("centre", torch.from_numpy(self.whitening.centre.copy()))
            self.register_buffer("matrix", torch.from_numpy(self.whitening.matrix.copy()))
        self.fusion = None if parts.channels is None else Fusion(parts.channels)
        self.baseline = parts.baseline
        if self.average is not None:
            self.register_buffer("kernel", torch.from_numpy(self.average.weights).reshape(1, 1, -1, 1))

    @property
    def history(self) -> int:
        """Scaled rows before the newest that the network and its features need."""
        return self.network.history + (0 if self.features is None else self.features.history)

    @property
    def asks_for_time(self) -> bool:
        """Whether it is shown the time of day."""
        return self.features is not None and self.features.period is not None

    @property
    def state_rows(self) -> dict[str, int]:
        """Rows of each part of the state, in order; only the parts that there are.

        "history" holds scaled rows, "started" a row of ones once there was a first row, "averaged" residuals,
        "distances" those of the sensors' channel, "smoothed" errors.
        """
        rows = {
            "history": self.history,
            "started": int(self.history > 0),
            "averaged": 0 if self.average is None else self.average.rows - 1,
            "distances": 0 if self.fusion is None else self.fusion.channels.history,
            "smoothed": 0 if self.smoothing is None else self.smoothing.rows - 1,
        }
        return {part: count for part, count in rows.items() if count}

    @property
    def state_shape(self) -> tuple[int, ...] | None:
        """Of what one call leaves to the next of the same machine; None without memory."""
        rows = sum(self.state_rows.values())
        return (rows, len(self.scaler.offset)) if rows else None

    def forward(
        self,
        readings: torch.Tensor,
        state: torch.Tensor | None = None,
        seconds: torch.Tensor | None = None,
        levels: Levels | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Scores raw readings.

        Args:
            readings: [rows, sensors] float32, raw units; with a memory those of one machine, oldest first.
            state: What the machine's last call returned; None for a machine's first rows.
            seconds: [rows] of the day, UTC, where the detector asks for it.
            levels: Of the slow baseline of a detector that has one; None for levels as in training.

        Returns:
            score [rows], errors [rows, sensors], expected [rows, sensors] in raw units, and the state.
        """
        if self.state_shape is not None and state is None:
            state = readings.new_zeros(self.state_shape)
        before = self._parts(state)
        residual, reproduced, after = self._residual(readings, before, seconds)
        if self.fusion is not None:
            errors, reproduced = self._fused(self.fusion, readings, reproduced, levels, before, after)
        else:
            if self.whitening is not None:
                residual = (residual - self.centre) @ self.matrix
            errors = residual * residual * (1.0 / readings.shape[1])
        if self.smoothing is not None:
            errors, part = _smooth(self.smoothing, errors, before["smoothed"])
            after.append(part)
        return (
            errors.sum(1),
            errors,
            reproduced * self.scale + self.offset,
            torch.cat(after) if after else None,
        )

    def channel_residuals(
        self, readings: torch.Tensor, state: torch.Tensor | None, seconds: torch.Tensor | None
    ) -> torch.Tensor:
        """[rows, columns] that a baseline follows; arguments as for a call.

        Raises:
            TrainingError: The detector has a single channel.
        """
        if self.fusion is None:
            raise TrainingError("a detector with a single channel has no baseline")
        if self.state_shape is not None and state is None:
            state = readings.new_zeros(self.state_shape)
        before = self._parts(state)
        _, reproduced, _ = self._residual(readings, before, seconds)
        scaled = (readings - self.offset) / self.scale
        return self.fusion.residuals(scaled, reproduced, before.get("distances"))[0]

    def _fused(
        self,
        fusion: Fusion,
        readings: torch.Tensor,
        reproduced: torch.Tensor,
        levels: Levels | None,
        before: dict[str, torch.Tensor],
        after: list[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Errors, and scaled rows as they are expected; the distances to be kept go into `after`."""
        scaled = (readings - self.offset) / self.scale
        residuals, distances = fusion.residuals(scaled, reproduced, before.get("distances"))
        if distances is not None:
            after.append(distances)
        if self.baseline is not None and levels is None:
            levels = Levels(*map(torch.from_numpy, no_baseline(residuals.shape[1])))
        fused = fusion(residuals, levels)
        return fusion.errors(fused), reproduced + fused.shift

    def _parts(self, state: torch.Tensor | None) -> dict[str, torch.Tensor]:
        rows = self.state_rows
        if state is None or not rows:
            return {}
        return dict(zip(rows, torch.split(state, list(rows.values())), strict=True))

    def _residual(
        self, readings: torch.Tensor, before: dict[str, torch.Tensor], seconds: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """Scaled residual, averaged if it is, and reproduced rows; and the first parts of the state."""
        after: list[torch.Tensor] = []
        shown = scaled = (readings - self.offset) / self.scale
        if self.history:
            # Before a machine's first row, that row counts as having stood there all along.
            missing = 1.0 - before["started"]
            shown = torch.cat([before["history"] + missing * scaled[:1], scaled])
            after += [shown[-self.history :], torch.ones_like(before["started"])]
        if self.features is not None:
            shown = self.features.of(shown, seconds)
        reproduced = self.network(shown)
        residual = scaled - reproduced
        if self.average is not None:
            series = torch.cat([before["averaged"], residual])
            after.append(series[1 - len(self.average.weights) :])
            residual = nn.functional.conv2d(series[None, None], self.kernel)[0, 0]
        return residual, reproduced, after

    @torch.no_grad()
    def score(
        self,
        readings: NDArray[np.float32],
        block: int = BLOCK,
        times: NDArray[np.int64] | None = None,
        start: BaselineState | None = None,
        levels: Given | None = None,
    ) -> tuple[NDArray[np.float32], ...]:
        """The same for numpy arrays, block by block, from a machine's first row: score, errors, expected.

        Args:
            readings: [rows, sensors] raw units.
            block: Rows of a call.
            times: [rows] ns, where the detector asks for the time of day.
            start: Where the baseline stands, if the detector has one; None for the beginning.
            levels: [1, columns] each, baseline and bound that all rows are judged with, instead of a baseline
                that follows them.
        """
        self.eval()
        seconds = None if times is None else torch.from_numpy(seconds_of_day(times))
        parts, state = [], None
        fixed = None if levels is None else Levels(*map(torch.from_numpy, levels))
        following = None if self.baseline is None or levels is not None else Following(self.baseline, start)
        for i in range(0, len(readings), block):
            rows = torch.from_numpy(np.ascontiguousarray(readings[i : i + block]))
            moments = None if seconds is None else seconds[i : i + block]
            by_row = fixed
            if following is not None:
                residuals = self.channel_residuals(rows, state, moments).numpy()
                by_row = following.follow(residuals)
            *outputs, state = self(rows, state, moments, by_row)
            parts.append(outputs)
        if not parts:
            return (np.empty(0, np.float32), np.empty_like(readings), np.empty_like(readings))
        return tuple(torch.cat(columns).numpy() for columns in zip(*parts, strict=True))

    @torch.no_grad()
    def channel_residual_rows(
        self, readings: NDArray[np.float32], times: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """[rows, columns] that a baseline follows, of one machine's rows from its first.

        Args:
            readings: [rows, sensors] raw units, in time order.
            times: [rows] ns.
        """
        self.eval()
        found, state = [], None
        for i in range(0, len(readings), BLOCK):
            rows = torch.from_numpy(np.ascontiguousarray(readings[i : i + BLOCK]))
            seconds = torch.from_numpy(seconds_of_day(times[i : i + BLOCK]))
            found.append(self.channel_residuals(rows, state, seconds))
            *_, state = self(rows, state, seconds)
        residuals: NDArray[np.float32] = torch.cat(found).numpy()
        return residuals

    def score_rows(
        self, readings: NDArray[np.float32], times: NDArray[np.int64], machines: NDArray[np.str_]
    ) -> tuple[NDArray[np.float32], ...]:
        """Of rows in any order, of any machines, as a gateway would give them in time order.

        Args:
            readings: [rows, sensors] raw units, all finite.
            times: [rows] ns.
            machines: [rows] machine ids.

        Returns:
            score [rows], errors [rows, sensors], expected [rows, sensors] in raw units.
        """
        if self.state_shape is None and self.baseline is None:
            return self.score(readings, times=times)
        found = tuple(np.empty(s, np.float32) for s in (len(readings), readings.shape, readings.shape))
        for rows in _by_machine(times, machines):
            for column, part in zip(found, self.score(readings[rows], times=times[rows]), strict=True):
                column[rows] = part
        return found

    def score_table(
        self, readings: NDArray[np.float32], times: NDArray[np.int64], machines: NDArray[np.str_]
    ) -> NDArray[np.float32]:
        """[rows] scores, as `score_rows` gives them."""
        return self.score_rows(readings, times, machines)[0]

    @torch.no_grad()
    def residuals(
        self, readings: NDArray[np.float32], times: NDArray[np.int64], machines: NDArray[np.str_]
    ) -> NDArray[np.float32]:
        """[rows, sensors] scaled residuals, averaged if they are, as whitening weighs them."""
        self.eval()
        bare = Detector(replace(self.parts, whitening=None, smoothing=None, channels=None, baseline=None))
        found = np.empty(readings.shape, np.float32)
        for rows in _by_machine(times, machines):
            state = torch.zeros(bare.state_shape or (0, readings.shape[1]))
            for i in range(0, len(rows), BLOCK):
                part = rows[i : i + BLOCK]
                seconds = torch.from_numpy(seconds_of_day(times[part]))
                residual, _, after = bare._residual(
                    torch.from_numpy(readings[part]), bare._parts(state), seconds
                )
                state = torch.cat(after) if after else state
                found[part] = residual.numpy()
        return found


def _by_machine(times: NDArray[np.int64], machines: NDArray[np.str_]) -> list[NDArray[np.intp]]:
    """Each machine's rows in time order."""
    order = np.lexsort((times, machines))
    if not len(order):
        return []
    return np.split(order, np.flatnonzero(machines[order][1:] != machines[order][:-1]) + 1)


def _smooth(
    smoothing: ScoreSmoothing, errors: torch.Tensor, state: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The errors, each raised to the mean of its last rows' where that is higher; and the state."""
    own = errors.sum(1, keepdim=True)
    capped = errors * torch.clamp(smoothing.cap / (own + TINY), max=1.0)
    series = torch.cat([state, capped])
    mean = nn.functional.avg_pool2d(series[None, None], (smoothing.rows, 1), stride=1)[0, 0]
    return torch.maximum(errors, mean), series[1 - smoothing.rows :]
