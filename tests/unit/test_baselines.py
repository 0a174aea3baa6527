"""The simple detectors, against scikit-learn or by hand: a comparison is worth what they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest as Forest
from sklearn.preprocessing import StandardScaler

from edge_runtime.errors import TrainingError
from trainer.data.split import Split
from trainer.evaluation.baselines import (
    FITTED,
    Autoregression,
    FittedBaseline,
    FixedLimits,
    IsolationForest,
    Mahalanobis,
    MaxZ,
    Mewma,
    PcaQ,
    PcaT2,
    SumZ,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)
MIX = np.array([[3.0, 0.5, 0.0, 1.0], [0.0, 1.0, 2.0, 0.0], [0.0, 0.0, 0.1, 0.5], [0.2, 0.0, 0.0, 0.3]])
CENTRE = [55.0, 1.2, 50.0, 235.0]
SECOND_NS = 10**9


def rows_of(values: NDArray[np.floating], *, machine: str = "m") -> Split:
    """Rows of one machine, a second apart; of other machines and times where a test replaces them."""
    times = np.arange(len(values), dtype=np.int64) * SECOND_NS
    return Split(
        Path("rows.csv"), times, np.full(len(values), machine), values.astype(np.float32), None, None
    )


def drawn(rows: int, spread: float = 1.0) -> Split:
    return rows_of(RANDOM.normal(size=(rows, 4)) @ MIX * spread + CENTRE)


TRAIN, VAL, TEST = drawn(2000), drawn(1000), drawn(500, spread=2.0)


def test_z_scores_by_hand() -> None:
    train = rows_of(np.array([[1.0, 10.0], [3.0, 30.0]]))  # means 2 and 20, deviations 1 and 10
    rows = rows_of(np.array([[2.0, 20.0], [5.0, 25.0], [1.0, 60.0]]))
    assert MaxZ.fit(train, train, 0.5).score(rows).tolist() == [0, 3, 4]
    assert SumZ.fit(train, train, 0.5).score(rows).tolist() == [0, 3.5, 5]


def test_mahalanobis_is_that_of_the_shrunk_covariance_of_the_z_scores() -> None:
    scaler = StandardScaler().fit(TRAIN.values.astype(np.float64))
    reference = LedoitWolf().fit(scaler.transform(TRAIN.values.astype(np.float64)))
    wanted = np.sqrt(reference.mahalanobis(scaler.transform(TEST.values.astype(np.float64))))
    np.testing.assert_allclose(Mahalanobis.fit(TRAIN, VAL, 0.99).score(TEST), wanted, rtol=1e-4)


def test_the_principal_components_are_those_of_scikit_learn() -> None:
    scaler = StandardScaler().fit(TRAIN.values.astype(np.float64))
    reference = PCA(n_components=0.95, svd_solver="full").fit(
        scaler.transform(TRAIN.values.astype(np.float64))
    )
    assert 0 < reference.n_components_ < 4
    scaled = scaler.transform(TEST.values.astype(np.float64))
    kept = reference.transform(scaled)
    t2 = (kept**2 / reference.explained_variance_).sum(1)
    q = ((scaled - reference.inverse_transform(kept)) ** 2).sum(1)
    np.testing.assert_allclose(PcaT2.fit(TRAIN, VAL, 0.99).score(TEST), t2, rtol=1e-6)
    np.testing.assert_allclose(PcaQ.fit(TRAIN, VAL, 0.99).score(TEST), q, rtol=1e-6, atol=1e-9)


def test_components_that_leave_nothing_over_have_no_distance_to_measure() -> None:
    independent = rows_of(RANDOM.normal(size=(500, 3)))
    with pytest.raises(TrainingError, match="leave nothing over"):
        PcaQ.fit(independent, independent, 0.99)
    one = rows_of(TRAIN.values[:, :1])
    with pytest.raises(TrainingError, match="leave nothing over"):
        PcaQ.fit(one, one, 0.99)
    z = (one.values[:, 0] - one.values.mean()) / one.values.std()
    np.testing.assert_allclose(PcaT2.fit(one, one, 0.99).score(one), z**2, rtol=1e-2, atol=1e-5)


def test_the_forest_is_that_of_scikit_learn() -> None:
    forest = Forest(n_estimators=100, random_state=0).fit(TRAIN.values.astype(np.float64))
    wanted = -forest.score_samples(TEST.values.astype(np.float64))
    np.testing.assert_allclose(IsolationForest.fit(TRAIN, VAL, 0.99).score(TEST), wanted)


def test_mewma_by_hand() -> None:
    # One sensor with mean 2 and deviation 1, of whose variance nothing is shrunk.
    train = rows_of(np.array([[1.0], [3.0], [1.0], [3.0]]))
    chart = Mewma.fit(train, train, 0.5)
    # Averages .1, .19 and -.129 of z = 1, 1 and -3; the variance of each is 1/19 of 1 - .81 to the age.
    wanted = [
        0.1**2 / (0.1 / 1.9 * (1 - 0.81)),
        0.19**2 / (0.1 / 1.9 * (1 - 0.81**2)),
        (-0.129) ** 2 / (0.1 / 1.9 * (1 - 0.81**3)),
    ]
    assert wanted[0] == pytest.approx(1.0)  # a first row's T² is that of the row itself
    np.testing.assert_allclose(chart.score(rows_of(np.array([[3.0], [3.0], [-1.0]]))), wanted, rtol=1e-6)


def test_mewma_weighs_by_the_covariance_and_finds_a_shift_that_no_row_shows() -> None:
    chart, by_row = Mewma.fit(TRAIN, VAL, 0.99), Mahalanobis.fit(TRAIN, VAL, 0.99)
    first = TEST.take(np.arange(1))
    np.testing.assert_allclose(chart.score(first), by_row.score(first) ** 2, rtol=1e-6)
    shifted = replace(VAL, values=VAL.values + 0.6 * TRAIN.values.std(0))
    found = [(one.score(shifted)[50:] > one.threshold).mean() for one in (chart, by_row)]
    assert found[0] > 0.9
    assert found[1] < 0.5


def test_the_autoregression_forecasts_a_series_that_follows_its_rule() -> None:
    values = np.empty((3000, 2))
    values[0] = 0
    noise = RANDOM.normal(size=values.shape) * [0.1, 0.2]
    rule = np.array([[0.9, 0.2], [0.0, 0.8]])
    for row in range(1, len(values)):
        values[row] = values[row - 1] @ rule + noise[row]
    series = rows_of(values + np.array([10.0, 20.0]))
    detector = Autoregression.fit(series, series, 0.99)
    # The residuals are the noise, and independent: T² is the sum of its squared deviations.
    wanted = ((noise[1:] / [0.1, 0.2]) ** 2).sum(1)
    np.testing.assert_allclose(detector.score(series)[1:].mean(), 2, rtol=0.01)
    assert np.corrcoef(detector.score(series)[1:], wanted)[0, 1] > 0.99


def test_what_looks_back_begins_anew_at_a_gap_and_with_another_machine() -> None:
    rows = TEST.take(np.arange(40))
    for kind in (Mewma, Autoregression):
        detector = kind.fit(TRAIN, VAL, 0.99)
        alone = [detector.score(rows.take(part)) for part in (np.arange(20), np.arange(20, 40))]
        assert not np.allclose(detector.score(rows)[20:22], alone[1][:2])
        later = rows.times + np.where(np.arange(40) < 20, 0, 11 * SECOND_NS)
        other = np.where(np.arange(40) < 20, "m", "n")
        for parted in (replace(rows, times=later), replace(rows, machines=other)):
            np.testing.assert_allclose(detector.score(parted), np.concatenate(alone), rtol=1e-9)
        # Nine rows of time without one are no gap yet.
        short = rows.times + np.where(np.arange(40) < 20, 0, 9 * SECOND_NS)
        np.testing.assert_allclose(detector.score(replace(rows, times=short)), detector.score(rows))


def test_what_looks_back_goes_by_time_and_passes_over_rows_that_lack_a_reading() -> None:
    rows = TEST.take(np.arange(40))
    lacking = rows.values.copy()
    lacking[7, 1] = np.nan
    rest = np.delete(np.arange(40), 7)
    shuffled = np.random.default_rng(1).permutation(40)
    for kind in (Mewma, Autoregression):
        detector = kind.fit(TRAIN, VAL, 0.99)
        scores = detector.score(replace(rows, values=lacking))
        assert np.flatnonzero(np.isnan(scores)).tolist() == [7]
        np.testing.assert_allclose(scores[rest], detector.score(rows.take(rest)))
        np.testing.assert_allclose(detector.score(rows.take(shuffled)), detector.score(rows)[shuffled])


def test_the_autoregression_learns_from_pairs_of_normal_rows_alone() -> None:
    spoilt = TRAIN.values.copy()
    spoilt[100:120] *= 9
    labels = np.zeros(len(TRAIN), np.bool_)
    labels[100:120] = True
    kept = np.flatnonzero(~labels)
    apart = TRAIN.take(kept)
    # Without the labelled rows there is a gap in their place, so that the pairs are the same.
    found = Autoregression.fit(replace(TRAIN, values=spoilt, labels=labels), VAL, 0.99)
    wanted = Autoregression.fit(apart, VAL, 0.99)
    np.testing.assert_allclose(found.score(TEST), wanted.score(TEST), rtol=1e-9)
    alternating = replace(TRAIN, labels=np.arange(len(TRAIN)) % 2 == 1)
    with pytest.raises(TrainingError, match="follow one another"):
        Autoregression.fit(alternating, VAL, 0.99)


@pytest.mark.parametrize("kind", FITTED, ids=lambda kind: kind.name)
def test_the_threshold_is_the_quantile_of_validation_and_rows_with_gaps_have_no_score(
    kind: type[FittedBaseline],
) -> None:
    values = VAL.values.copy()
    values[::10, 2] = np.nan
    broken = replace(VAL, values=values)
    infinite = rows_of(np.vstack([TRAIN.values, [[np.inf, 1, 1, 1]]]))
    baseline = kind.fit(infinite, broken, 0.9)
    scores = baseline.score(broken)
    assert np.isnan(scores).tolist() == np.isnan(values).any(1).tolist()
    assert (scores[~np.isnan(scores)] > baseline.threshold).mean() == pytest.approx(0.1, abs=0.002)
    assert (baseline.score(TEST) > baseline.threshold).mean() > 0.1


@pytest.mark.parametrize(
    "kind", [MaxZ, SumZ, PcaT2, PcaQ, Mahalanobis, Mewma, Autoregression], ids=lambda kind: kind.name
)
def test_a_sensor_that_stands_still_or_repeats_another_breaks_nothing(kind: type[FittedBaseline]) -> None:
    own = TRAIN.values
    still = rows_of(np.column_stack([own[:, 0], own[:, 1], np.full(len(own), 7.0), own[:, 0]]))
    baseline = kind.fit(still, still, 0.99)
    assert np.isfinite(baseline.score(still)).all()
    assert np.isfinite(baseline.threshold)


def test_fitting_needs_rows_and_a_quantile() -> None:
    with pytest.raises(TrainingError, match="at least two normal rows"):
        MaxZ.fit(rows_of(np.full((5, 4), np.nan)), VAL, 0.99)
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
    scores = baseline.score(rows_of(rows))
    np.testing.assert_allclose(scores, [-0.25, 0.05, 0.5, 2.0, np.nan])
    assert (scores > baseline.threshold).tolist() == [False, True, True, True, False]
    with pytest.raises(TrainingError, match="no sensor has a limit"):
        FixedLimits(["speed"], limits)
