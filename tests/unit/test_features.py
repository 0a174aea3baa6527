"""What a network is shown of a row: by definition, in batches of windows and over a whole series the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edge_runtime.errors import TrainingError, UsageError
from edge_runtime.scoring.inference import seconds_of_day
from trainer.detector.features import InputFeatures
from trainer.detector.scaler import SensorScaler
from trainer.fitting.dataset import TimeWindowDataset

ROWS, SENSORS = 60, 3
EVERYTHING = InputFeatures(sensors=SENSORS, window=3, differences=True, rolling=10, period=60.0, harmonics=2)


@pytest.fixture
def series() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(ROWS, SENSORS)))


def shown(features: InputFeatures, series: torch.Tensor) -> np.ndarray:
    """The columns of a machine's first rows."""
    before = series[:1].expand(features.history, -1)
    return features.of(torch.cat([before, series]), torch.arange(ROWS, dtype=series.dtype)).numpy()


def test_columns_are_what_their_names_say(series: torch.Tensor) -> None:
    found, rows = shown(EVERYTHING, series), series.numpy()
    assert found.shape == (ROWS, EVERYTHING.columns) == (ROWS, 3 * 3 + 3 + 6 + 4)
    np.testing.assert_array_equal(found[:, :3], rows)
    np.testing.assert_array_equal(found[2:, 6:9], rows[:-2])
    np.testing.assert_array_equal(found[1:, 9:12], np.diff(rows, axis=0))
    for row in (9, 30, 59):
        last = rows[row - 9 : row + 1]
        np.testing.assert_allclose(found[row, 12:15], last.mean(0))
        np.testing.assert_allclose(found[row, 15:18], last.std(0), rtol=1e-4)
    angle = 2 * np.pi * np.arange(ROWS) / 60
    np.testing.assert_allclose(found[:, 18], np.sin(angle), atol=1e-6)
    np.testing.assert_allclose(found[:, 21], np.cos(2 * angle), atol=1e-6)


def test_a_machine_is_taken_to_have_stood_where_it_was_first_seen(series: torch.Tensor) -> None:
    found = shown(EVERYTHING, series)[0]
    first = series[0].numpy()
    np.testing.assert_array_equal(found[:9], np.tile(first, 3))
    np.testing.assert_allclose(found[9:15], np.concatenate([np.zeros(3), first]), atol=1e-12)
    assert (found[15:18] < 0.01).all()


def test_windows_drawn_in_any_order_give_the_columns_of_the_whole_series() -> None:
    random = np.random.default_rng(1)
    values = random.normal(size=(ROWS, SENSORS)).astype(np.float32)
    scaler = SensorScaler.fit("standard", values)
    machines = np.repeat(["a", "b"], ROWS // 2)
    times = np.concatenate([np.arange(30), np.arange(100, 130)]) * 10**9
    mixed = random.permutation(ROWS)
    dataset = TimeWindowDataset(
        values[mixed],
        times[mixed],
        machines[mixed],
        scaler,
        rows=EVERYTHING.history + 1,
        features=EVERYTHING,
    )
    drawn = torch.from_numpy(random.permutation(ROWS))
    found = dataset.__getitems__(drawn)
    for half in (slice(0, 30), slice(30, 60)):
        scaled = torch.from_numpy(scaler.transform(values[half]))
        padded = torch.cat([scaled[:1].expand(EVERYTHING.history, -1), scaled])
        wanted = EVERYTHING.of(padded, torch.from_numpy(seconds_of_day(times[half])))
        ours = found[torch.argsort(drawn)][half]
        torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-6)
    assert dataset[7].shape == (EVERYTHING.columns,)


def test_the_phase_is_that_of_the_time_of_day_even_late_in_it() -> None:
    features = InputFeatures(sensors=1, period=60.0, harmonics=1)
    late = np.array([86_399_250_000_000], np.int64)
    found = features.of(torch.zeros(1, 1), torch.from_numpy(seconds_of_day(late)))
    assert float(found[0, 1]) == pytest.approx(np.sin(2 * np.pi * 59.25 / 60), abs=1e-3)


def test_a_phase_without_a_time_is_an_error_that_says_so() -> None:
    with pytest.raises(TrainingError, match="asks for the time of day"):
        EVERYTHING.of(torch.zeros(20, SENSORS), None)


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ({"window": 0}, "--window"),
        ({"window": 33}, "--window"),
        ({"rolling": 1}, "--rolling"),
        ({"period": 0.0}, "--period"),
        ({"period": float("inf")}, "--period"),
        ({"harmonics": 0}, "--harmonics"),
    ],
)
def test_what_makes_no_sense_names_its_option(option: dict[str, float], named: str) -> None:
    with pytest.raises(UsageError) as caught:
        InputFeatures(sensors=2, **option)  # type: ignore[arg-type]
    assert caught.value.where == named


def test_a_description_that_was_tampered_with_is_refused() -> None:
    document = EVERYTHING.to_dict()
    assert InputFeatures.from_dict(document) == EVERYTHING
    for damaged in ({**document, "window": 99}, {**document, "more": 1}):
        with pytest.raises(TrainingError, match="not the description of features"):
            InputFeatures.from_dict(damaged)
