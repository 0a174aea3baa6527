"""The simple detectors, against scikit-learn or by hand: a comparison is worth what they are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest as Forest
from sklearn.preprocessing import StandardScaler

from edge_runtime.errors import TrainingError
from trainer.evaluation.baselines import (
    FITTED,
    FixedLimits,
    IsolationForest,
    Mahalanobis,
    MaxZ,
    PcaQ,
    PcaT2,
    SumZ,
)

RANDOM = np.random.default_rng(0)
MIX = np.array([[3.0, 0.5, 0.0, 1.0], [0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.1, 0.5], [0.2, 0.0, 0.0, 0.3]])
TRAIN = RANDOM.normal(size=(2000, 4)) @ MIX + [55.0, 1.2, 50.0, 235.0]
VAL = RANDOM.normal(size=(1000, 4)) @ MIX + [55.0, 1.2, 50.0, 235.0]
TEST = RANDOM.normal(size=(500, 4)) @ MIX * 2 + [55.0, 1.2, 50.0, 235.0]


def test_z_scores_by_hand() -> None:
    train = np.array([[1.0, 10.0], [3.0, 30.0]])  # means 2 and 20, deviations 1 and 10
    rows = np.array([[2.0, 20.0], [5.0, 25.0], [1.0, 60.0]])
    assert MaxZ.fit(train, train, 0.5).score(rows).tolist() == [0, 3, 4]
    assert SumZ.fit(train, train, 0.5).score(rows).tolist() == [0, 3.5, 5]


def test_mahalanobis_is_that_of_the_covariance() -> None:
    reference = EmpiricalCovariance().fit(TRAIN)
    # Divided by rows, not by rows less one.
    wanted = np.sqrt(reference.mahalanobis(TEST) * (len(TRAIN) - 1) / len(TRAIN))
    np.testing.assert_allclose(Mahalanobis.fit(TRAIN, VAL, 0.99).score(TEST), wanted, rtol=1e-6)


def test_the_principal_components_are_those_of_scikit_learn() -> None:
    scaler = StandardScaler().fit(TRAIN)
    reference = PCA(n_components=0.95, svd_solver="full").fit(scaler.transform(TRAIN))
    assert 0 < reference.n_components_ < 4
    scaled = scaler.transform(TEST)
    kept = reference.transform(scaled)
    t2 = (kept**2 / reference.explained_variance_).sum(1)
    q = ((scaled - reference.inverse_transform(kept)) ** 2).sum(1)
    np.testing.assert_allclose(PcaT2.fit(TRAIN, VAL, 0.99).score(TEST), t2, rtol=1e-6)
    np.testing.assert_allclose(PcaQ.fit(TRAIN, VAL, 0.99).score(TEST), q, rtol=1e-6, atol=1e-9)


def test_the_forest_is_that_of_scikit_learn() -> None:
    wanted = -Forest(n_estimators=100, random_state=0).fit(TRAIN).score_samples(TEST)
    np.testing.assert_allclose(IsolationForest.fit(TRAIN, VAL, 0.99).score(TEST), wanted)


@pytest.mark.parametrize("kind", FITTED, ids=lambda kind: kind.name)
def test_the_threshold_is_the_quantile_of_validation_and_rows_with_gaps_have_no_score(
    kind: type[MaxZ],
) -> None:
    broken = VAL.copy()
    broken[::10, 2] = np.nan
    baseline = kind.fit(np.vstack([TRAIN, [[np.inf, 1, 1, 1]]]), broken, 0.9)
    assert (baseline.score(VAL[np.isfinite(broken).all(1)]) > baseline.threshold).mean() == pytest.approx(
        0.1, abs=0.002
    )
    assert np.isnan(baseline.score(broken)).tolist() == np.isnan(broken).any(1).tolist()
    assert (baseline.score(TEST) > baseline.threshold).mean() > 0.1


@pytest.mark.parametrize("kind", [MaxZ, SumZ, PcaT2, PcaQ, Mahalanobis], ids=lambda kind: kind.name)
def test_a_sensor_that_stands_still_or_repeats_another_breaks_nothing(kind: type[MaxZ]) -> None:
    still = np.column_stack([TRAIN[:, 0], TRAIN[:, 1], np.full(len(TRAIN), 7.0), TRAIN[:, 0]])
    baseline = kind.fit(still, still, 0.99)
    assert np.isfinite(baseline.score(still)).all()
    assert np.isfinite(baseline.threshold)


def test_fitting_needs_rows_and_a_quantile() -> None:
    with pytest.raises(TrainingError, match="at least two normal rows"):
        MaxZ.fit(np.full((5, 2), np.nan), VAL[:, :2], 0.99)
    for quantile in (0.0, 1.0, float("nan")):
        with pytest.raises(TrainingError, match="is not between 0 and 1"):
            MaxZ.fit(TRAIN, VAL, quantile)


def test_fixed_limits_by_hand() -> None:
    limits = {"temperature": (-np.inf, 80.0), "pressure": (30.0, 70.0), "level": (0.0, np.inf)}
    baseline = FixedLimits(["temperature", "speed", "pressure", "level"], limits)
    rows = np.array(
        [
            [60.0, 1e9, 50.0, 1.0],  # nearest limit: temperature, a quarter below
            [84.0, 0.0, 50.0, 1.0],  # 5 % above
            [20.0, 0.0, 15.0, 1.0],  # half below the lowest pressure
            [20.0, 0.0, 50.0, -2.0],  # below a limit of 0, which is no scale
            [np.nan, 0.0, 50.0, 1.0],
        ]
    )
    scores = baseline.score(rows)
    np.testing.assert_allclose(scores, [-0.25, 0.05, 0.5, 2.0, np.nan])
    assert (scores > baseline.threshold).tolist() == [False, True, True, True, False]
    with pytest.raises(TrainingError, match="no sensor has a limit"):
        FixedLimits(["speed"], limits)
