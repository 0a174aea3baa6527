"""Scaling of raw readings, one offset and one scale a sensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from edge_runtime.errors import TrainingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ScalerKind", "SensorScaler"]

ScalerKind = Literal["minmax", "standard"]


@dataclass(frozen=True, slots=True)
class SensorScaler:
    """`scaled = (raw - offset) / scale`, computed in float32 as the graph does, subtraction first.

    Attributes:
        kind: "minmax" (0 to 1 over the rows it was fitted on) or "standard" (mean 0, standard deviation 1).
        offset: [sensors] float32, raw units.
        scale: [sensors] float32, raw units, positive.
    """

    kind: ScalerKind
    offset: NDArray[np.float32]
    scale: NDArray[np.float32]

    @staticmethod
    def fit(kind: ScalerKind, raw: NDArray[np.floating[Any]]) -> SensorScaler:
        """Fits on raw rows, [rows, sensors]. A sensor that never moves gets scale 1.

        Raises:
            TrainingError: There is no row, or one that is not finite.
        """
        rows = np.asarray(raw, np.float64)
        if rows.ndim != 2 or not len(rows) or not np.isfinite(rows).all():  # noqa: PLR2004
            raise TrainingError("a scaler needs at least one row, all finite")
        if kind == "minmax":
            offset, scale = rows.min(0), np.ptp(rows, axis=0)
        else:
            offset, scale = rows.mean(0), rows.std(0)
        # Below float32's resolution at this offset there is no movement to speak of.
        still = scale <= np.spacing(np.abs(offset).astype(np.float32)).astype(np.float64)
        return SensorScaler(kind, offset.astype(np.float32), np.where(still, 1.0, scale).astype(np.float32))

    def transform(self, raw: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Scales raw rows, [rows, sensors]."""
        scaled: NDArray[np.float32] = (np.asarray(raw, np.float32) - self.offset) / self.scale
        return scaled

    def to_dict(self) -> dict[str, Any]:
        """The scaler as JSON-ready values."""
        return {"kind": self.kind, "offset": self.offset.tolist(), "scale": self.scale.tolist()}

    @staticmethod
    def from_dict(document: dict[str, Any]) -> SensorScaler:
        """The inverse of `to_dict`.

        Raises:
            TrainingError: A field is missing or wrong.
        """
        try:
            kind = document["kind"]
            offset, scale = (
                np.asarray(document["offset"], np.float32),
                np.asarray(document["scale"], np.float32),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"not the description of a scaler ({error})", where="scaler.json") from None
        if (
            kind not in get_args(ScalerKind)
            or offset.ndim != 1
            or offset.shape != scale.shape
            or (scale <= 0).any()
        ):
            raise TrainingError("not the description of a scaler", where="scaler.json")
        return SensorScaler(kind, offset, scale)
