"""The networks: what each promises beside reproducing rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from support.bundles import normal_rows

from edge_runtime.errors import TrainingError, UsageError
from trainer.detector.scaler import SensorScaler
from trainer.detector.whitening import ResidualWhitening
from trainer.fitting.settings import Settings
from trainer.models.autoencoder import SensorAutoencoder
from trainer.models.base import Architecture
from trainer.models.convolutional import ConvolutionalAutoencoder
from trainer.models.ensemble import Ensemble
from trainer.models.linear import LinearModel
from trainer.models.options import ModelOptions
from trainer.models.pca import PcaModel
from trainer.models.registry import build
from trainer.models.variational import VariationalAutoencoder

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture
def scaled() -> NDArray[np.float32]:
    """Correlated rows."""
    rows = normal_rows(3000, seed=3)
    mix = np.array([[1, 0.5, 0, 0.2], [0, 1, 0.3, 0], [0, 0, 1, 0.7], [0, 0, 0, 0.1]], np.float32)
    return SensorScaler.fit("standard", rows).transform(rows) @ mix


def test_their_sizes_are_those_of_the_design() -> None:
    assert SensorAutoencoder(4).parameter_count == 5064
    assert VariationalAutoencoder(4).parameter_count == 5196
    assert Ensemble([SensorAutoencoder(4), SensorAutoencoder(4)]).parameter_count == 2 * 5064


def test_the_variational_one_draws_in_training_alone(scaled: NDArray[np.float32]) -> None:
    network, rows = VariationalAutoencoder(4), torch.from_numpy(scaled[:50])
    torch.testing.assert_close(network(rows), network(rows), rtol=0, atol=0)
    losses = {float(network.loss(rows, rows).detach()) for _ in range(5)}
    assert len(losses) == 5
    deviations = network.deviations(rows)
    assert deviations.shape == (50, 4)
    assert (deviations > 0).all()


def test_a_large_beta_makes_its_bottleneck_say_nothing(scaled: NDArray[np.float32]) -> None:
    rows = torch.from_numpy(scaled)
    found = {}
    for beta in (0.0, 10.0):
        torch.manual_seed(0)
        network = VariationalAutoencoder(4, (16, 2, 16), beta=beta)
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
        for _ in range(150):
            optimiser.zero_grad()
            network.loss(rows, rows).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        found[beta] = float(network.deviations(rows).mean())
    assert found[10.0] == pytest.approx(1.0, abs=0.05)
    assert found[0.0] < 0.5


def test_the_convolutional_one_gives_windows_and_a_series_the_same() -> None:
    network = ConvolutionalAutoencoder(4, (8, 3, 8), (3, 2))
    assert network.history == 3
    series = torch.randn(40, 4)
    windows = series.unfold(0, 4, 1).transpose(1, 2)
    torch.testing.assert_close(network(series), network(windows))


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    members = [SensorAutoencoder(3, (8, 2, 8)) for _ in range(3)]
    rows = torch.randn(20, 3)
    together = Ensemble(members)
    torch.testing.assert_close(together(rows), torch.stack([m(rows) for m in members]).mean(0))
    assert together.architecture.members == 3
    again = build(together.architecture)
    again.load_state_dict(together.state_dict())
    torch.testing.assert_close(again(rows), together(rows))


def test_the_linear_one_with_rows_before_is_a_least_squares_autoregression(
    scaled: NDArray[np.float32],
) -> None:
    before = np.concatenate([scaled[1:], scaled[:-1]], axis=1)
    model, _ = LinearModel.fitted(before, 4, ModelOptions())
    design = np.column_stack([np.delete(before, 2, axis=1), np.ones(len(before))])
    weights, *_ = np.linalg.lstsq(design, before[:, 2], rcond=None)
    found = model(torch.from_numpy(before))[:, 2].detach().numpy()
    np.testing.assert_allclose(found, design @ weights, atol=2e-3)


def test_principal_components_give_t2_plus_q_over_one_variance(scaled: NDArray[np.float32]) -> None:
    model, covariance = PcaModel.fitted(scaled, 4, ModelOptions(components=2))
    assert covariance is not None
    whitening = ResidualWhitening.of(np.zeros(4), covariance)
    residuals = scaled - model(torch.from_numpy(scaled)).detach().numpy()
    found = ((residuals @ whitening.matrix) ** 2).sum(1)
    fitted = PCA(4).fit(scaled)
    parts = fitted.transform(scaled) ** 2
    variances = fitted.explained_variance_
    t2 = (parts[:, :2] / variances[:2]).sum(1)
    q = parts[:, 2:].sum(1)
    np.testing.assert_allclose(found, t2 + q / variances[2:].mean(), rtol=0.01, atol=0.01)


def test_as_many_components_are_kept_as_hold_nine_tenths(scaled: NDArray[np.float32]) -> None:
    model, _ = PcaModel.fitted(scaled, 4, ModelOptions())
    explained = np.cumsum(PCA(4).fit(scaled).explained_variance_ratio_)
    assert model.architecture.widths == (1 + int((explained < 0.9).sum()),)


def test_an_unknown_kind_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(TrainingError, match="choose one of autoencoder, convolutional, linear, pca"):
        build(Architecture("transformer", 4, (2,)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "linear", "members": 2}, "no randomness"),
        ({"model": "linear", "differences": True}, "shown only the rows and --period or --window"),
        ({"model": "linear", "rolling": 5}, "shown only the rows and --period or --window"),
        ({"model": "linear", "dropout": 0.1}, "--dropout: a linear model has no such option"),
        ({"model": "pca", "stride": 2}, "--stride: a pca model has no such option"),
        ({"model": "pca", "weight_decay": 0.1}, "--weight-decay: a pca model has no such option"),
        ({"model": "linear", "clip_norm": 2.0}, "--clip-norm: a linear model has no such option"),
        ({"beta": 0.1}, "--beta: .*; it is for --model variational"),
        ({"kernels": (3,)}, "--kernels: .*; it is for --model convolutional"),
        ({"model": "transformer"}, "--model: transformer is out of range"),
        ({"dropout": 1.0}, "--dropout: 1.0 is out of range"),
        ({"stride": 0}, "--stride: 0 is out of range"),
        ({"weight_decay": -1.0}, "--weight-decay: -1.0 is out of range"),
        ({"clip_norm": -1.0}, "--clip-norm: -1.0 is out of range"),
        ({"model": "convolutional", "window": 3}, "shown only the rows themselves"),
        ({"model": "pca", "period": 60.0}, "shown only the rows themselves"),
        ({"kernels": (0,)}, "--kernels: .* out of range"),
        ({"members": 0}, "--members: 0 is out of range"),
        ({"beta": -1.0}, "--beta: -1.0 is out of range"),
        ({"components": 0}, "--components: 0 is out of range"),
        ({"model": "convolutional", "clamp": 0.2}, "--clamp: a convolutional model has no such option"),
        ({"clamp": -0.1}, "--clamp: -0.1 is out of range"),
        ({"clamp": 0.1, "scaler": "standard"}, "--clamp: requires the scaler minmax; add --scaler minmax"),
        ({"two_channels": True, "floor": 0.0}, "--floor: 0.0 is out of range"),
        ({"floor": 0.1}, "--floor: requires two channels; add --two-channels"),
        ({"lasting": 20}, "--lasting: requires two channels; add --two-channels"),
        ({"sudden": 0.25}, "--sudden: requires two channels; add --two-channels"),
        ({"two_channels": True, "lasting": 1}, "--lasting: 1 is out of range"),
        (
            {"two_channels": True, "lasting_weight": 1.0},
            "--lasting-weight: requires --lasting; add --lasting 20",
        ),
        (
            {"two_channels": True, "lasting": 20, "lasting_weight": 0.0},
            "--lasting-weight: 0.0 is out of range",
        ),
        ({"adapt": "day"}, "--adapt: requires two channels; add --two-channels"),
        ({"two_channels": True, "adapt": "1023"}, "--adapt: '1023' is neither off, nor day, nor 1,024 to"),
        ({"two_channels": True, "adapt": "hour"}, "--adapt: 'hour' is neither"),
        ({"two_channels": True, "average": 0.1}, "--average: requires a single channel; add --one-channel$"),
        (
            {"two_channels": True, "average": 0.1, "adapt": "day"},
            "--average: requires a single channel; add --one-channel",
        ),
        ({"two_channels": True, "whiten": False}, "--no-whiten: two channels are always whitened"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Settings(**options)  # type: ignore[arg-type]
