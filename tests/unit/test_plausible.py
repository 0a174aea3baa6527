"""What fit says of tables that change in the middle, and that it says nothing of a simulated machine's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.commands import assert_one_clear_line
from support.history import write_history

from edge_runtime.simulation import SENSORS, Simulator
from trainer.calibration.assess import Assessment
from trainer.data.plausible import doubts_about_splits
from trainer.data.split import Split
from trainer.data.training_data import TrainingData
from trainer.experiment.outcome import doubts_about_fit
from trainer.fitting.training import Epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from support.commands import Here

    Change = Callable[[NDArray[np.float64], int], None]

START_NS = 1_735_689_600 * 10**9  # 2025-01-01
ROWS = 7200
TEMPERATURE, VIBRATION, PRESSURE, POWER = range(4)


def tables(
    change: Change | None = None,
    *,
    seed: int = 0,
    rows: int = ROWS,
    severity: float = 0.0,
    machines: tuple[str, ...] = ("press-1",),
    labelled: bool = True,
) -> TrainingData:
    """A simulated history, changed in its first machine, as 70/15/15."""
    blocks = []
    for machine in machines:
        block = Simulator(machine, seed=seed, severity=severity, start_ns=START_NS).block(rows)
        values = block.values.astype(np.float64)
        if change is not None and machine == machines[0]:
            change(values, rows)
        blocks.append((machine, block.times, values.astype(np.float32), block.anomaly.astype(np.bool_)))

    def part(first: int, last: int) -> Split:
        rows_of = slice(rows * first // 100, rows * last // 100)
        return Split(
            Path("x.csv"),
            np.concatenate([times[rows_of] for _, times, _, _ in blocks]),
            np.concatenate([np.full(len(times[rows_of]), name) for name, times, _, _ in blocks]),
            np.concatenate([values[rows_of] for _, _, values, _ in blocks]),
            np.concatenate([labels[rows_of] for _, _, _, labels in blocks]) if labelled else None,
            None,
        )

    return TrainingData(tuple(SENSORS), part(0, 70), part(70, 85), part(85, 100), {}, {}, 1.0)


def to_fahrenheit(at: float) -> Change:
    def change(values: NDArray[np.float64], rows: int) -> None:
        values[int(at * rows) :, TEMPERATURE] = values[int(at * rows) :, TEMPERATURE] * 1.8 + 32

    return change


def to_psi(values: NDArray[np.float64], rows: int) -> None:
    values[rows // 2 :, PRESSURE] *= 14.5038


def higher(values: NDArray[np.float64], rows: int) -> None:
    values[int(0.75 * rows) :, PRESSURE] += 40


def frozen(values: NDArray[np.float64], rows: int) -> None:
    values[int(0.8 * rows) :, VIBRATION] = values[int(0.8 * rows), VIBRATION]


def wider(values: NDArray[np.float64], rows: int) -> None:
    part = values[int(0.72 * rows) :, PRESSURE]
    part[:] = part.mean() + 9.80665 * (part - part.mean())


def dead(values: NDArray[np.float64], rows: int) -> None:
    values[int(0.6 * rows) :, POWER] = np.nan


def late(values: NDArray[np.float64], rows: int) -> None:
    values[: int(0.6 * rows), POWER] = np.nan


@pytest.mark.parametrize(
    ("change", "begins", "words"),
    [
        (to_fahrenheit(0.5), "temperature moved from", ("at 2025-01-01T01:00:00Z", "°C to °F")),
        (to_fahrenheit(0.72), "temperature moved from", ("at 2025-01-01T01:26:24Z", "°C to °F")),
        (to_psi, "pressure moved from", ("at 2025-01-01T01:00:00Z", "bar to psi")),
        (higher, "pressure moved from", ("at 2025-01-01T01:30:0", "and stayed there")),
        (frozen, "vibration does not move any more", ("2025-01-01T01:36:00Z",)),
        (wider, "pressure varies more from about 2025-01-01T01:2", ("before by",)),
        (dead, "power has no reading in 100% of the validation rows", ("end at about 2025-01-01T01:12:00Z",)),
        (late, "power has no reading in 86% of the training rows", ("begin at about 2025-01-01T01:12:00Z",)),
    ],
)
def test_a_change_is_named_with_its_sensor_and_its_moment(
    change: Change, begins: str, words: tuple[str, ...]
) -> None:
    (said,) = doubts_about_splits(tables(change), 99.55)
    assert said.startswith(begins)
    for word in words:
        assert word in said


def test_a_change_of_unit_is_found_among_anomalies_that_nobody_labelled() -> None:
    (said,) = doubts_about_splits(tables(to_fahrenheit(0.72), severity=2.0, labelled=False), 99.55)
    assert said.startswith("temperature moved from")
    assert "at 2025-01-01T01:26:2" in said


def test_a_change_of_one_machine_of_several_names_it() -> None:
    machines = ("press-1", "press-2", "press-3")
    (said,) = doubts_about_splits(tables(to_fahrenheit(0.72), machines=machines), 99.55)
    assert said.startswith("temperature of press-1 moved from")


def test_a_validation_that_no_single_change_explains_is_named_with_its_time() -> None:
    def rising(values: NDArray[np.float64], rows: int) -> None:
        values[:, PRESSURE] += np.maximum(0, np.arange(rows) - 0.7 * rows) * 0.05

    (said,) = doubts_about_splits(tables(rising), 99.55)
    assert said.startswith("pressure is outside training's")
    assert "of the validation rows" in said
    assert "100% of the test rows" in said
    assert "from about 2025-01-01T01:2" in said


def test_a_threshold_of_a_few_rows_is_doubted() -> None:
    first, *_ = doubts_about_splits(tables(rows=300), 99.55)
    assert first.startswith("the threshold comes from only 45 validation rows")
    assert "fewer than 222" in first
    assert not any("threshold" in said for said in doubts_about_splits(tables(rows=300)))


@pytest.mark.parametrize(("rows", "seeds"), [(ROWS, 12), (86_400, 2)])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_simulated_machine_is_plausible(rows: int, seeds: int, *, labelled: bool) -> None:
    for seed in range(seeds):
        assert doubts_about_splits(tables(seed=seed, rows=rows, severity=2.0, labelled=labelled), 99.55) == []


def epochs(best: int, count: int) -> tuple[Epoch, ...]:
    return tuple(Epoch(number, 1.0, 1.0, 1e-3, number <= best, 0.1) for number in range(1, count + 1))


@pytest.mark.parametrize(
    ("history", "val", "test", "words"),
    [
        (epochs(3, 3), 0.005, 0.005, ["give more --epochs"]),
        (epochs(2, 3), 0.005, 0.005, []),
        (epochs(2, 2), 0.005, 0.005, []),  # of three: nothing was gained any more
        ((), 0.005, 0.3, ["alarms on 30.0% of its own test rows"]),
        ((), 0.1, 0.3, ["alarms on 30.0% of its own test rows"]),
        ((), 0.005, 0.08, ["and on 0.5% of those of validation"]),
        ((), 0.05, 0.08, []),
    ],
)
def test_a_fit_is_doubted_by_its_last_epoch_and_its_alarms(
    history: tuple[Epoch, ...], val: float, test: float, words: list[str]
) -> None:
    found = doubts_about_fit(history, 3, Assessment(1000, 0, val, None), Assessment(1000, 0, test, None))
    assert len(found) == len(words)
    for said, word in zip(found, words, strict=True):
        assert word in said


def test_warnings_stand_on_stderr_and_in_the_metrics_and_strict_ends_before_training(
    tmp_path: Path, here: Here
) -> None:
    data = write_history(tmp_path / "data", train=2000, val=100, test=1000)
    fit = ("edge-train", "fit", "--data", data, "--no-mlflow", "--no-plots", "-q")
    words = (*fit, "--epochs", 1, "--sensor", "pressure")
    done = here(*words, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.decode().splitlines()
    assert lines[0].startswith("WARNING: the threshold comes from only ")
    assert any("give more --epochs" in line for line in lines)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert [f"WARNING: {said}" for said in metrics["warnings"]] == lines
    done = here(*words, "-o", tmp_path / "strict", "--strict")
    done.stderr = b"\n".join(line for line in done.stderr.splitlines() if not line.startswith(b"WARNING: "))
    assert_one_clear_line(done, 1, "the tables are not plausible", "without --strict")
    assert not (tmp_path / "strict").exists()
