"""What a detector is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_runtime.bundle.judging import Baseline
    from trainer.detector.averaging import ResidualAverage
    from trainer.detector.channels import Channels
    from trainer.detector.features import InputFeatures
    from trainer.detector.scaler import SensorScaler
    from trainer.detector.smoothing import ScoreSmoothing
    from trainer.detector.whitening import ResidualWhitening
    from trainer.models.base import Network

__all__ = ["DetectorParts"]


@dataclass(frozen=True, slots=True)
class DetectorParts:
    """The parts that score readings, in the order in which a row passes them, but for the network.

    Attributes:
        network: Reproduces scaled rows; in evaluation mode once it is trained.
        scaler: Of raw readings, fitted on normal training rows.
        features: What the network is shown; None for the scaled row alone.
        average: Of the residuals over the last rows, before they are whitened; None for none.
        whitening: Of the residuals, averaged if they are, fitted on normal training rows; None for none.
        smoothing: Of the score over the last rows; None for none.
        channels: How the residuals are judged beside the sensors' plain distances, instead of by the
            whitening alone; None for by that alone.
        baseline: The slow baseline of both channels, which the runtime carries; None for none.
    """

    network: Network
    scaler: SensorScaler
    features: InputFeatures | None = None
    average: ResidualAverage | None = None
    whitening: ResidualWhitening | None = None
    smoothing: ScoreSmoothing | None = None
    channels: Channels | None = None
    baseline: Baseline | None = None
