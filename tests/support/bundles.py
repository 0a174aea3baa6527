"""Small real bundles for tests: random weights, fixed by a seed; the rest as `edge-train fit` makes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from edge_runtime.bundle.metadata import (
    Debounce,
    Degraded,
    Hold,
    Metrics,
    Provenance,
    Sensor,
    SensorLimit,
    SensorStatus,
    Threshold,
)
from edge_runtime.scoring.filling import Filling
from trainer.calibration.regressions import regressions
from trainer.data.split import Split
from trainer.detector import Detector
from trainer.detector.averaging import ResidualAverage
from trainer.detector.features import InputFeatures
from trainer.detector.parts import DetectorParts
from trainer.detector.scaler import ScalerKind, SensorScaler
from trainer.detector.smoothing import ScoreSmoothing
from trainer.detector.whitening import ResidualWhitening
from trainer.experiment.checkpoint import Checkpoint
from trainer.experiment.golden import GoldenRows
from trainer.fitting.channels import ChannelOptions, fit_channels
from trainer.models.base import Architecture, ClosedFormModel, Network
from trainer.models.options import DEFAULT_KERNELS, DEFAULT_WIDTHS, ModelOptions
from trainer.models.registry import build, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Alarms

__all__ = ["SENSORS", "make_bundle", "make_checkpoint", "normal_rows"]

# Name, unit, centre, spread (half the training range), physical range.
SENSORS: tuple[tuple[str, str, float, float, tuple[float, float] | None], ...] = (
    ("temperature", "°C", 55.0, 8.0, (-40.0, 200.0)),
    ("vibration", "mm/s", 1.2, 0.5, (0.0, 50.0)),
    ("pressure", "PSI", 50.0, 5.0, (0.0, 300.0)),
    ("power", "W", 235.0, 90.0, (0.0, 5000.0)),
)


def normal_rows(
    rows: int,
    *,
    seed: int = 0,
    sensors: Sequence[tuple[str, str, float, float, tuple[float, float] | None]] = SENSORS,
) -> NDArray[np.float32]:
    """Rows as in training: each sensor evenly spread over its centre ± spread, [rows, sensors]."""
    random = np.random.default_rng(seed)
    centre, spread = np.asarray([s[2] for s in sensors]), np.asarray([s[3] for s in sensors])
    drawn: NDArray[np.float32] = (centre + spread * random.uniform(-1, 1, (rows, len(sensors)))).astype(
        np.float32
    )
    return drawn


def make_checkpoint(
    folder: Path,
    *,
    sensors: Sequence[tuple[str, str, float, float, tuple[float, float] | None]] = SENSORS,
    seed: int = 0,
    widths: tuple[int, ...] = DEFAULT_WIDTHS,
    scaler: ScalerKind = "minmax",
    quantile: float = 0.99,
    hold: Hold | None = None,
    debounce: Debounce | None = None,
    per_machine: Mapping[str, float] | None = None,
    golden: NDArray[np.float32] | None = None,
    train: int = 0,
    whiten: bool = True,
    smooth: int = 1,
    average: float | None = None,
    model: str = "autoencoder",
    members: int = 1,
    shown: Mapping[str, Any] | None = None,
    channels: bool = False,
    lasting: int = 0,
    sudden: float = 0.0,
    horizon: float | None = None,
    degraded: bool = False,
    limits: Sequence[SensorLimit] | None = None,
    alarms: Alarms | None = None,
) -> Path:
    """A checkpoint folder, made in milliseconds; equal arguments give equal files.

    Args:
        folder: Where to write it.
        sensors: As `SENSORS`.
        seed: Of the weights and of the rows that the scaler and the threshold are fitted on.
        widths: The network's hidden widths.
        scaler: Its kind.
        quantile: The threshold is this quantile of the normal rows' scores.
        hold: The verdict's hold.
        debounce: The verdict's debounce.
        per_machine: Thresholds of single machines.
        golden: The self-test's rows; 32 normal ones by default.
        whiten: Whether residuals are whitened.
        smooth: Rows over which the score is smoothed.
        average: Weight of the newest row in the residuals' average.
        model: Kind of the network; one in closed form is fitted to the rows.
        members: Networks that are averaged.
        shown: Fields of `InputFeatures` beside `sensors`.
        channels: Whether rows are judged by two channels, at least.
        lasting: Rows of the lasting channel's mean; 0 for no such channel.
        sudden: Weight of the sudden channel; 0 for no such channel.
        horizon: Rows over which levels are followed, with two channels; None for no baseline.
        degraded: Whether rows that lack one sensor are judged; each is filled from the others as if a part of
            all of them moved together.
        limits: When each sensor is flat or too steep; None for a bundle that does not say so.
        alarms: When alarms are raised and return; None for a bundle that does not say so.
        train: Steps of training; 0 leaves the weights random, which still scores far-off rows high.
    """
    rows = normal_rows(2000, seed=seed, sensors=sensors)
    fitted = SensorScaler.fit(scaler, rows)
    features = InputFeatures(sensors=len(sensors), **(shown or {}))
    given = None if features.is_plain else features
    columns = None if given is None else given.columns
    times, machines = np.arange(len(rows)) * 10**9, np.full(len(rows), "m")
    generator = torch.random.get_rng_state()
    torch.manual_seed(seed)
    network = _network(model, widths, members, fitted.transform(rows), given)
    torch.random.set_rng_state(generator)
    if train:
        _train(network, torch.from_numpy(fitted.transform(rows)), train, columns)
    network.eval()
    averaging = None if average is None else ResidualAverage(average)
    parts = DetectorParts(network, fitted, given, averaging)
    if channels:
        normal = Split(folder, times, machines, rows, None, None)
        options = ChannelOptions(floor=0.01, lasting=lasting, sudden=sudden, horizon=horizon)
        parts = fit_channels(parts, normal, normal, options)
    elif whiten:
        residuals = Detector(parts).residuals(rows, times, machines)
        parts = replace(parts, whitening=ResidualWhitening.fit(residuals))
    if smooth > 1:
        scores = Detector(parts).score(rows, times=times)[0]
        parts = replace(parts, smoothing=ScoreSmoothing.fit(smooth, scores))
    score, _, _ = Detector(parts).score(rows, times=times)
    described = tuple(
        Sensor(name, unit, physical, (float(rows[:, i].min()), float(rows[:, i].max())))
        for i, (name, unit, _, _, physical) in enumerate(sensors)
    )
    kept = normal_rows(32, seed=seed + 1, sensors=sensors) if golden is None else golden
    Checkpoint(
        parts,
        sensors=described,
        threshold=Threshold(
            value=float(np.quantile(score.astype(np.float64), quantile)),
            method="percentile",
            quantile=quantile,
            metric=None,
            rows=len(rows),
            hold=hold or Hold(),
            per_machine=dict(per_machine or {}),
            debounce=debounce,
        ),
        cadence_seconds=1.0,
        metrics=Metrics(validation={"f1": 0.95}, test={"f1": 0.94, "roc_auc": 0.99}),
        provenance=Provenance(
            data_digest="sha256:" + "ab" * 32,
            time_start="2026-01-01T00:00:00Z",
            time_stop="2026-01-02T00:00:00Z",
            machines=("press-1", "press-2"),
            seed=seed,
            versions={"torch": "2.13.0"},
            git_revision=None,
            mlflow_run_id=None,
            created=None,
        ),
        golden=GoldenRows(kept, np.arange(len(kept)) * 10**9),
        degraded=_degraded(Detector(parts), described, rows, times, quantile) if degraded else None,
        sensor_status=None if limits is None else SensorStatus(tuple(limits), len(rows)),
        alarms=alarms,
    ).save(folder)
    return folder


def _degraded(
    detector: Detector,
    sensors: Sequence[Sensor],
    rows: NDArray[np.float32],
    times: NDArray[np.int64],
    quantile: float,
) -> Degraded:
    """Regressions of rows that have something in common; thresholds are the same quantile of filled rows."""
    half = np.ptp(rows, axis=0) / 2
    common = np.random.default_rng(3).uniform(-1, 1, (len(rows), 1))
    absent = regressions((rows + half * common).astype(np.float32))
    filling, found = Filling(absent, sensors), []
    for place, absence in enumerate(absent):
        score = detector.score(filling.fill(rows, np.full(len(rows), place)), times=times)[0]
        value = float(np.quantile(score.astype(np.float64), quantile))
        found.append(replace(absence, threshold=value, auc_loss=0.05))
    return Degraded(tuple(found), len(rows), 0.95, "labels", (), 0.0)


def make_bundle(folder: Path, name: str = "bundle.onnx", **options: Any) -> Path:
    """A bundle in this folder, written by the real exporter; the options are `make_checkpoint`'s."""
    from export.write import export_checkpoint  # noqa: PLC0415

    export_checkpoint(make_checkpoint(folder / f"{name}.checkpoint", **options), folder / name)
    return folder / name


def _network(
    model: str,
    widths: tuple[int, ...],
    members: int,
    scaled: NDArray[np.float32],
    features: InputFeatures | None,
) -> Network:
    """A network with random weights, or one in closed form."""
    kind = kind_of(model)
    if issubclass(kind, ClosedFormModel):
        shown = torch.from_numpy(scaled)
        if features is not None:
            series = torch.cat([shown[:1].expand(features.history, -1), shown])
            shown = features.of(series, torch.arange(len(scaled), dtype=torch.float32))
        return kind.fitted(shown.numpy(), scaled.shape[1], ModelOptions(components=2)).network
    architecture = Architecture(
        model,
        scaled.shape[1],
        widths,
        None if features is None else features.columns,
        DEFAULT_KERNELS if "kernels" in kind.options else (),
        members,
    )
    return build(architecture)


def _train(network: Network, scaled: torch.Tensor, steps: int, columns: int | None) -> None:
    if network.history or columns is not None or not list(network.parameters()):
        raise ValueError("only a network that is shown the row alone is trained here")
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.nn.functional.mse_loss(network(scaled), scaled)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
