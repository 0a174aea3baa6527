"""What a fit says of its own promises: on the screen, in metrics.json and as an error."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.commands import assert_one_clear_line
from support.history import write_history

from trainer.calibration.assess import Assessment
from trainer.calibration.expected import ExpectedShare
from trainer.data.split import Split
from trainer.data.training_data import TrainingData
from trainer.experiment.outcome import doubts_about_fit, doubts_about_size

if TYPE_CHECKING:
    from support.commands import Here

SECOND = 1_000_000_000
EVEN = ExpectedShare(0.001, 0.02, 0.005, 8, 3, 5_000, 3.5)


def split(rows: int, step: int, *, labelled: bool = False, ignored: bool = False) -> Split:
    """So many rows of two machines, in turn; every other one anomalous or ignored."""
    odd = np.arange(rows) % 4 >= 2
    return Split(
        Path("x.csv"),
        np.arange(rows, dtype=np.int64) // 2 * step * SECOND,
        np.where(np.arange(rows) % 2, "a", "b"),
        np.ones((rows, 3), np.float32),
        odd if labelled else np.zeros(rows, np.bool_),
        None,
        odd if ignored else None,
    )


def tables(train: Split, val: Split) -> TrainingData:
    return TrainingData(("x", "y", "z"), train, val, val, {}, {}, 1.0)


def test_a_long_and_even_history_gives_no_doubt() -> None:
    assert doubts_about_size(tables(split(20_000, 60), split(5_000, 60)), 10_000, EVEN) == []


def test_more_parameters_than_readings_are_too_little_data() -> None:
    found = doubts_about_size(tables(split(3_000, 60), split(5_000, 60)), 9_001, EVEN)
    assert len(found) == 1
    assert "9,001 parameters were fitted to 9,000 readings" in found[0]
    assert "--model linear" in found[0]
    # Rows that nothing is learnt from are none to learn from.
    labelled = tables(split(4_000, 60, labelled=True), split(5_000, 60))
    assert "fitted to 6,000 readings" in doubts_about_size(labelled, 9_000, EVEN)[0]


@pytest.mark.parametrize(
    ("val", "words", "unsaid"),
    [
        (
            split(999, 600),
            "only 999 normal rows: it promises no fewer false alarms than one in 1.5 days",
            "hours",
        ),
        (split(1_996, 600, labelled=True), "only 998 normal rows", "hours"),
        (split(1_996, 600, ignored=True), "only 998 normal rows", "hours"),
        (split(5_000, 20), "only 14 hours of a machine, so nothing of how days differ", "rows"),
        (split(5_000, 1), "only 42 minutes of a machine", "rows"),
        (split(900, 1), "only 900 normal rows and only 7.5 minutes of a machine", "parts"),
    ],
)
def test_a_short_validation_says_what_it_cannot_promise(val: Split, words: str, unsaid: str) -> None:
    found = doubts_about_size(tables(split(20_000, 60), val), 10_000, EVEN)
    assert len(found) == 1
    assert words in found[0]
    assert unsaid not in found[0].split(": it promises")[0]
    assert "take a longer history" in found[0]
    nothing = doubts_about_size(tables(split(20_000, 60), val), 10_000, None)
    assert "it promises no rate of false alarms" in nothing[0]


def test_a_history_whose_parts_differ_is_doubted_from_a_fifth_on() -> None:
    data = tables(split(20_000, 60), split(5_000, 60))
    found = doubts_about_size(data, 10_000, replace(EVEN, high=0.2))
    assert len(found) == 1
    assert "may flag 0.1% to 20% of normal rows that come" in found[0]
    assert doubts_about_size(data, 10_000, replace(EVEN, high=0.19)) == []


def test_a_fifth_of_the_test_rows_flagged_is_doubted_with_what_to_do() -> None:
    validation = Assessment(1_000, 0, 0.1, None)
    (found,) = doubts_about_fit((), 1, validation, Assessment(1_000, 0, 0.2, None))
    assert "alarms on 20.0% of its own test rows" in found
    assert "train with a history that has some like them" in found
    assert doubts_about_fit((), 1, validation, Assessment(1_000, 0, 0.19, None)) == []


def test_a_fit_states_its_range_and_refuses_what_it_cannot_promise(tmp_path: Path, here: Here) -> None:
    data = write_history(tmp_path / "data", train=3000, val=1500, test=1000)
    words = ("edge-train", "fit", "--data", data, "--no-mlflow", "--no-plots", "--model", "pca")
    done = here(*words, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    expected = ExpectedShare(**metrics["expected_flagged"])
    anomalous = sum(line.split(",")[-2] == "1" for line in (data / "val.csv").read_text().splitlines())
    assert (expected.rows, expected.blocks, expected.windows) == (1500 - anomalous, 8, 3)
    assert expected.machine_days == pytest.approx(expected.rows / 86_400, rel=0.01)
    assert expected.low <= expected.validation <= expected.high
    screen = done.stdout.decode()
    assert f"{expected}, 9 times out of 10 (from 8 parts of validation and 3 of training)" in screen
    assert expected.fewest in screen
    assert any("minutes of a machine" in said for said in metrics["warnings"])
    done = here(*words, "-q", "-o", tmp_path / "year", "--false-alarms", "1/year")
    done.stderr = b"\n".join(line for line in done.stderr.splitlines() if not line.startswith(b"WARNING: "))
    assert_one_clear_line(done, 1, "--false-alarms", "1/year takes at least 84", "--threshold percentile")
    assert not (tmp_path / "year").exists()  # nothing was trained
