"""Whitening: normal residuals come out uncorrelated and even, and shares still point at the sensor."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_runtime.errors import TrainingError
from trainer.detector.whitening import ResidualWhitening


def residuals(rows: int = 5000) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Three sensors: two that move together, one that hardly moves."""
    random = np.random.default_rng(3)
    common, own = random.normal(size=(rows, 1)), random.normal(size=(rows, 3))
    return np.hstack([common + 0.3 * own[:, :1], common + 0.3 * own[:, 1:2], 0.01 * own[:, 2:]]) + 0.5


def test_normal_residuals_come_out_with_mean_0_and_covariance_1() -> None:
    rows = residuals()
    whitening = ResidualWhitening.fit(rows)
    white = (rows - whitening.centre) @ whitening.matrix
    np.testing.assert_allclose(white.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=1e-3)


def test_the_shares_sum_to_the_squared_mahalanobis_distance() -> None:
    rows = residuals()
    whitening = ResidualWhitening.fit(rows)
    centred = rows - rows.mean(0)
    wanted = np.einsum("ri,ij,rj->r", centred, np.linalg.inv(np.cov(rows.T)), centred)
    found = (((rows - whitening.centre) @ whitening.matrix) ** 2).sum(1)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sensor", [0, 1, 2])
def test_the_largest_share_is_that_of_the_sensor_that_moved(sensor: int) -> None:
    rows = residuals()
    whitening = ResidualWhitening.fit(rows)
    moved = rows.mean(0)
    moved[sensor] += 5 * rows[:, sensor].std()
    assert np.argmax(((moved - whitening.centre) @ whitening.matrix) ** 2) == sensor


def test_a_direction_that_never_moves_stays_finite() -> None:
    rows = residuals()
    rows[:, 2] = rows[:, 0]
    whitening = ResidualWhitening.fit(rows)
    assert np.isfinite(whitening.matrix).all()
    assert np.abs(whitening.matrix).max() < 1e4


def test_residuals_that_never_move_are_an_error() -> None:
    with pytest.raises(TrainingError, match="reproduces every training row exactly"):
        ResidualWhitening.fit(np.zeros((100, 2)))


def test_it_survives_json_and_refuses_what_it_did_not_write() -> None:
    whitening = ResidualWhitening.fit(residuals())
    again = ResidualWhitening.from_dict(json.loads(json.dumps(whitening.to_dict())))
    np.testing.assert_array_equal(again.matrix, whitening.matrix)
    np.testing.assert_array_equal(again.centre, whitening.centre)
    for wrong in ({}, {"centre": [0.0], "matrix": [[1.0, 0.0]]}, {"centre": ["a"], "matrix": [[1.0]]}):
        with pytest.raises(TrainingError, match="not the description of a whitening"):
            ResidualWhitening.from_dict(wrong)


def test_a_floor_keeps_a_nearly_redundant_direction_from_counting_a_thousandfold() -> None:
    rows = residuals()
    rows[:, 2] = rows[:, 0] + 1e-4 * rows[:, 2]
    floored = ResidualWhitening.floored(rows.mean(0), np.cov(rows.T), rows.var(0), 0.01)
    white = (rows - floored.centre) @ floored.matrix
    assert np.cov(white.T).max() < 1.01
    apart = rows.mean(0)
    apart[2] += 0.1 * rows[:, 2].std()  # a tenth of a deviation between two copies
    free = ResidualWhitening.fit(rows)
    assert (((apart - free.centre) @ free.matrix) ** 2).sum() > 1000
    assert (((apart - floored.centre) @ floored.matrix) ** 2).sum() < 1


def test_a_sensor_without_movement_has_no_part() -> None:
    rows = residuals()
    rows[:, 1] = 7
    for whitening in (
        ResidualWhitening.floored(rows.mean(0), np.cov(rows.T), rows.var(0), 0.01),
        ResidualWhitening.fit(rows, rows.var(0)),
    ):
        assert not whitening.matrix[1].any()
        assert not whitening.matrix[:, 1].any()
        others = (rows - whitening.centre) @ whitening.matrix
        np.testing.assert_allclose(np.diag(np.cov(others.T))[[0, 2]], 1, atol=0.02)


def test_what_is_not_redundant_is_whitened_as_before() -> None:
    rows = residuals()
    assert ResidualWhitening.fit(rows, rows.var(0)) is not None
    np.testing.assert_array_equal(
        ResidualWhitening.fit(rows, rows.var(0)).matrix, ResidualWhitening.fit(rows).matrix
    )
