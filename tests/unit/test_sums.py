"""A column that is the sum of others is found, whatever it was rounded to, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from edge_runtime.mapping.sums import sums

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from support.commands import Command

ROWS = 500


def columns(seed: int = 0) -> dict[str, NDArray[np.float64]]:
    """Three phases of a current, and a temperature that follows them."""
    random = np.random.default_rng(seed)
    load = 10 + 3 * np.sin(np.arange(ROWS) / 40)
    phases = {f"l{i}": load + random.normal(0, 0.5, ROWS) for i in (1, 2, 3)}
    return {**phases, "oil": 40 + load + random.normal(0, 0.2, ROWS)}


@pytest.mark.parametrize("decimals", [0, 1, 3, None])
@pytest.mark.parametrize("parts", [("l1", "l2"), ("l1", "l2", "l3"), ("l3", "oil")])
def test_a_sum_is_found_with_its_parts(decimals: int | None, parts: tuple[str, ...]) -> None:
    known = {name: 100 * values for name, values in columns().items()}
    total = np.sum([known[name] for name in parts], axis=0)
    known = {"total": total, **known}
    if decimals is not None:
        known = {name: np.round(values, decimals) for name, values in known.items()}
    assert sums(known) == {"total": parts}


def test_a_sum_that_was_computed_in_float32_is_found() -> None:
    known = columns()
    known["total"] = (known["l1"].astype(np.float32) + known["l2"].astype(np.float32)).astype(np.float64)
    assert sums(known) == {"total": ("l1", "l2")}


def test_the_input_of_a_difference_is_the_sum() -> None:
    known = columns()
    known["net"] = known["oil"] - known["l1"]
    assert sums(known) in ({"oil": ("l1", "net")}, {"net": ("oil", "l1")})


def test_two_sums_are_found() -> None:
    known = columns()
    known["both"], known["warm"] = known["l1"] + known["l2"], known["l3"] + known["oil"]
    assert sums(known) == {"both": ("l1", "l2"), "warm": ("l3", "oil")}


def test_rows_that_lack_a_number_do_not_count() -> None:
    known = {**columns(), "total": columns()["l1"] + columns()["l2"]}
    known["total"][::7] = np.nan
    known["l3"][::5] = np.nan
    assert sums(known) == {"total": ("l1", "l2")}


@pytest.mark.parametrize("case", ["noise", "weighted", "stretched", "few rows", "one part", "few steps"])
def test_what_is_no_sum_is_none(case: str) -> None:
    known = columns()
    total = known["l1"] + known["l2"]
    known["total"] = {
        "noise": total + np.random.default_rng(1).normal(0, 1e-3, ROWS),
        "weighted": 0.5 * known["l1"] + known["l2"],
        "stretched": 1.01 * total,
        "few rows": total,
        "one part": known["l1"] + 5,
        "few steps": np.round(total),
    }[case]
    if case == "few rows":
        known = {name: values[:40] for name, values in known.items()}
    if case == "few steps":
        known = {name: np.round(values) for name, values in known.items()}
    assert sums(known) == {}


def test_a_column_that_stands_still_or_is_mostly_empty_does_not_hide_a_sum() -> None:
    known = {**columns(), "total": columns()["l1"] + columns()["l2"]}
    known["still"] = np.full(ROWS, 5.0)
    known["slow"] = np.where(np.arange(ROWS) % 60 == 0, known["oil"], np.nan)
    assert sums(known) == {"total": ("l1", "l2")}


def test_read_and_prepare_say_that_a_column_is_a_sum(command: Command, tmp_path: Path) -> None:
    known = {name: np.round(values, 2) for name, values in columns().items()}
    known["total"] = np.round(known["l1"] + known["l2"] + known["l3"], 2)
    times = pd.date_range("2026-01-05", periods=ROWS, freq="10s").strftime("%Y-%m-%dT%H:%M:%SZ")
    pd.DataFrame({"time": times, **known}).to_csv(tmp_path / "h.csv", index=False)
    said = "; the sum of 'l1', 'l2', 'l3'"
    read = command("edge-detect", "read", tmp_path / "h.csv")
    assert said in next(part for part in read.stdout.decode().splitlines() if part.startswith("total"))
    done = command(
        "edge-train", "prepare", "--csv", tmp_path / "h.csv", "--gap", "0", "-o", tmp_path / "data"
    )
    assert done.returncode == 0, done.stderr.decode()
    assert said in done.stdout.decode()
    assert list(pd.read_csv(tmp_path / "data" / "train.csv"))[2:] == [*known]
