"""`edge-train prepare --split machine`: whole machines for training, validation and test."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, InputError, UsageError
from trainer.cli import app
from trainer.data.choice import Columns
from trainer.data.plausible import doubts_about_splits
from trainer.data.tables import read_table
from trainer.data.training_data import TrainingData, read_training_data
from trainer.experiment.checkpoint import Checkpoint
from trainer.prepare import Shares
from trainer.prepare.by_machine import deal

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

SPLITS = ("train", "val", "test")
USUAL = Shares(0.7, 0.15, 0.15, by_machine=True)
ROWS = 200
START = pd.Timestamp("2026-01-01", tz="UTC")


def shares_of(rows: dict[str, int], groups: dict[str, frozenset[str]]) -> list[float]:
    return [sum(rows[name] for name in groups[split]) / sum(rows.values()) for split in SPLITS]


def plant(rows: int = ROWS, machines: int = 10, hot: str = "m0", spread: float = 0) -> pd.DataFrame:
    """A history of some machines in the order of time, one of which is hotter than the others."""
    rng = np.random.default_rng(0)
    parts = [
        pd.DataFrame(
            {
                "time": START + pd.to_timedelta(np.arange(rows), unit="s"),
                "machine_id": f"m{number}",
                "heat": rng.normal(500 if hot == f"m{number}" else 20 + spread * number, 1, rows).round(3),
                "load": rng.normal(5, 1, rows).round(3),
            }
        )
        for number in range(machines)
    ]
    frame = pd.concat(parts).sort_values(["time", "machine_id"], ignore_index=True)
    return frame.assign(time=frame["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))


def csv(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def prepare(folder: Path, *words: str | Path) -> tuple[dict[str, Any], str, str]:
    """The metadata, and what is said on standard output and error; the command's error is raised."""
    result = CliRunner().invoke(app, ["prepare", "-o", str(folder), *map(str, words)])
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return json.loads((folder / "metadata.json").read_text()), result.stdout, result.stderr


def command(*words: str | Path) -> Result:
    """What another command did; its error is raised."""
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def machines_in(folder: Path) -> dict[str, set[str]]:
    return {name: set(read_table(folder / f"{name}.csv")["machine_id"]) for name in SPLITS}


class TestDeal:
    @pytest.mark.parametrize("count", [3, 4, 7, 20, 300])
    def test_each_machine_is_in_one_split_and_none_is_empty(self, count: int) -> None:
        rows = {f"press-{number}": 1000 for number in range(count)}
        groups = deal(rows, USUAL)
        assert set().union(*groups.values()) == set(rows)
        assert sum(map(len, groups.values())) == count
        assert all(groups.values())
        nearest = 0.5 / count if count >= 7 else 0.4
        assert np.abs(np.subtract(shares_of(rows, groups), (0.7, 0.15, 0.15))).max() <= 2 * nearest

    def test_neither_the_order_nor_the_number_of_rows_matters(self) -> None:
        rows = {f"press-{number}": 1000 + number for number in range(40)}
        groups = deal(rows, USUAL)
        assert deal(dict(reversed(rows.items())), USUAL) == groups
        assert deal({name: 7 * count for name, count in rows.items()}, USUAL) == groups

    def test_a_machine_that_comes_in_moves_few_others(self) -> None:
        rows = {f"press-{number}": 1000 for number in range(60)}
        before, after = deal(rows, USUAL), deal({**rows, "press-60": 1000}, USUAL)
        moved = {name for split in SPLITS for name in before[split] - after[split]}
        assert len(moved) <= 2

    @pytest.mark.parametrize("large", range(6))
    def test_a_machine_with_most_of_the_rows_is_trained_on(self, large: int) -> None:
        rows = {f"press-{number}": 5000 if number == large else 500 for number in range(6)}
        groups = deal(rows, USUAL)
        assert f"press-{large}" in groups["train"]
        assert np.abs(np.subtract(shares_of(rows, groups), (0.7, 0.15, 0.15))).max() < 0.1

    def test_two_machines_with_rows_are_too_few(self) -> None:
        with pytest.raises(InputError, match=r"2 of 4 machines \(a, b\) have rows .* needs at least 3; take"):
            deal({"b": 5, "a": 9, "c": 0, "d": 0}, USUAL)


class TestShares:
    def test_whole_machines_are_asked_for(self) -> None:
        assert Shares.parse("machine") == USUAL
        assert Shares.parse("machine:60/20/20") == Shares(0.6, 0.2, 0.2, by_machine=True)

    @pytest.mark.parametrize("text", ["machine:", "machine:50/50", "machines", "press:70/15/15"])
    def test_what_is_no_split_is_refused(self, text: str) -> None:
        with pytest.raises(UsageError, match=r"is not a split; .* such as 70/15/15; or machine"):
            Shares.parse(text)


class TestPrepare:
    def test_every_row_is_in_the_split_of_its_machine_and_all_is_said(self, tmp_path: Path) -> None:
        frame = plant()
        path = csv(tmp_path / "rows.csv", frame)
        metadata, said, complained = prepare(tmp_path / "out", "--csv", path, "--split", "machine:60/20/20")
        assert metadata["split"] == {"by": "machine", "train": 0.6, "val": 0.2, "test": 0.2}
        there = machines_in(tmp_path / "out")
        assert [len(there[name]) for name in SPLITS] == [6, 2, 2]
        assert {name: set(metadata["splits"][name]["machines"]) for name in SPLITS} == there
        for name in SPLITS:
            written = read_table(tmp_path / "out" / f"{name}.csv").drop(
                columns=["anomaly", "kind"], errors="ignore"
            )
            mine = frame[frame["machine_id"].isin(there[name])].reset_index(drop=True)
            pd.testing.assert_frame_equal(written.astype(mine.dtypes.to_dict()), mine, check_dtype=False)
        assert metadata["rows"] == len(frame)
        assert metadata["rows_left_out_between_splits"] == 0
        assert metadata["rows_of_machines_not_trained"] == {}
        assert complained == "edge-train: the tables are unlabelled: they have no column 'anomaly'\n"
        (line,) = [line for line in said.splitlines() if line.startswith("val ") and "Z" in line]
        assert line.split() == [
            *("val", "400", "2026-01-01T00:00:00Z", "2026-01-01T00:03:19Z", "2"),
            *", ".join(sorted(there["val"])).split(),
        ]

    def test_files_in_any_order_give_the_same_tables(self, tmp_path: Path) -> None:
        frame = plant()
        prepare(tmp_path / "a", "--csv", csv(tmp_path / "a.csv", frame), "--split", "machine")
        by_machine = frame.sort_values(["machine_id", "time"])
        halves = [csv(tmp_path / f"{part}.csv", by_machine.iloc[part::2]) for part in (1, 0)]
        words = [word for path in halves for word in ("--csv", path)]
        prepare(tmp_path / "b", *words, "--split", "machine")
        for name in SPLITS:
            assert (tmp_path / "a" / f"{name}.csv").read_bytes() == (
                tmp_path / "b" / f"{name}.csv"
            ).read_bytes()

    def test_more_rows_leave_each_machine_where_it_is(self, tmp_path: Path) -> None:
        prepare(tmp_path / "a", "--csv", csv(tmp_path / "a.csv", plant()), "--split", "machine")
        prepare(tmp_path / "b", "--csv", csv(tmp_path / "b.csv", plant(350)), "--split", "machine")
        assert machines_in(tmp_path / "a") == machines_in(tmp_path / "b")

    def test_a_machine_without_a_complete_row_is_named_and_makes_no_split(self, tmp_path: Path) -> None:
        frame = plant(machines=4)
        frame.loc[frame["machine_id"] == "m1", "load"] = np.nan
        path = csv(tmp_path / "rows.csv", frame)
        metadata, _, complained = prepare(tmp_path / "out", "--csv", path, "--split", "machine")
        assert "m1" in machines_in(tmp_path / "out")["train"]
        assert "complete and normal row in the training split: m1 (200 rows)\n" in complained
        assert metadata["rows_of_machines_not_trained"] == {"m1": 200}
        three = csv(tmp_path / "three.csv", frame[frame["machine_id"] != "m0"])
        with pytest.raises(InputError, match=r"2 of 3 machines \(m2, m3\) have rows with a reading of every"):
            prepare(tmp_path / "none", "--csv", three, "--split", "machine")
        assert not (tmp_path / "none").exists()

    def test_statistics_are_of_the_training_machines(self, tmp_path: Path) -> None:
        path = csv(tmp_path / "rows.csv", plant())
        words = ("--csv", path, "--split", "machine", "--labels", "statistical", "--exclude")
        metadata, _, _ = prepare(tmp_path / "out", *words, "2026-01-01T00:00:00Z/2026-01-01T00:00:50Z")
        train = read_table(tmp_path / "out" / "train.csv")
        kept = train[train["time"].astype(str) >= "2026-01-01T00:00:50Z"]
        assert metadata["labels"]["mean"]["heat"] == pytest.approx(kept["heat"].mean())
        assert metadata["excluded"]["rows"] == 500
        assert metadata["splits"]["val"]["ignored"] == 50 * len(machines_in(tmp_path / "out")["val"])

    def test_limits_and_events_label_every_split(self, tmp_path: Path) -> None:
        path = csv(tmp_path / "rows.csv", plant())
        words = ("--csv", path, "--split", "machine")
        limits = ("--labels", "threshold", "--limit", "load=:6")
        prepare(tmp_path / "limits", *words, *limits)
        events = [f"m{number},JAM,2026-01-01T00:01:00Z,2026-01-01T00:01:10Z" for number in range(10)]
        (tmp_path / "events.csv").write_text("\n".join(["machine_id,kind,start,stop", *events]))
        metadata, _, _ = prepare(tmp_path / "events", *words, "--events-file", tmp_path / "events.csv")
        for name, machines in machines_in(tmp_path / "limits").items():
            frame = read_table(tmp_path / "limits" / f"{name}.csv")
            assert ((frame["load"] > 6) == (frame["anomaly"] == 1)).all()
            assert frame["anomaly"].any()
            assert metadata["splits"][name]["machines"].keys() == machines
            assert all(one["kinds"] == {"JAM": 10} for one in metadata["splits"][name]["machines"].values())

    def test_a_gap_has_no_meaning(self, tmp_path: Path) -> None:
        path = csv(tmp_path / "rows.csv", plant(20))
        with pytest.raises(UsageError, match="--gap: has no meaning where whole machines are split"):
            prepare(tmp_path / "out", "--csv", path, "--split", "machine", "--gap", "60s")


def test_a_machine_that_only_some_splits_of_time_have_is_said(tmp_path: Path) -> None:
    frame = plant(1000, machines=4)
    early = frame["time"] < "2026-01-01T00:10:00Z"
    path = csv(tmp_path / "rows.csv", frame[early | frame["machine_id"].isin(["m0", "m1"])])
    _, said, complained = prepare(tmp_path / "out", "--csv", path)
    assert "edge-train: 2 machines have no rows in val, test: m2, m3\n" in complained
    (line,) = [line for line in said.splitlines() if line.startswith("test ") and "Z" in line]
    assert line.split()[2:] == ["2026-01-01T00:15:10Z", "2026-01-01T00:16:39Z", "2", "m0,", "m1"]
    assert "not trained" not in complained
    path = csv(tmp_path / "one.csv", frame[early | (frame["machine_id"] != "m3")])
    assert "machine 'm3' has no rows in val, test\n" in prepare(tmp_path / "one", "--csv", path)[2]
    late = (frame["machine_id"] != "m3") | (frame["time"] >= "2026-01-01T00:11:40Z")
    complained = prepare(tmp_path / "late", "--csv", csv(tmp_path / "late.csv", frame[late]))[2]
    assert "complete and normal row in the training split: m3 (180 rows)\n" in complained
    assert "no rows in" not in complained


class TestLater:
    """What the other commands make of tables that are split by machine."""

    def read(self, folder: Path, frame: pd.DataFrame) -> TrainingData:
        path = csv(folder / "rows.csv", frame)
        prepare(folder / "out", "--csv", path, "--split", "machine:60/20/20")
        return read_training_data(folder / "out", Columns())

    def test_a_machine_that_is_unlike_those_of_training_is_doubted_without_a_time(
        self, tmp_path: Path
    ) -> None:
        data = self.read(tmp_path, plant(hot=""))
        assert data.by_machine
        assert doubts_about_splits(data) == []
        val = sorted(set(data.val.machines))
        (tmp_path / "hot").mkdir()
        (said,) = doubts_about_splits(self.read(tmp_path / "hot", plant(hot=val[0])))
        assert said.startswith("heat is outside training's 1")
        assert " in 50% of the validation rows (around 2" in said
        assert said.endswith(")")

    def test_machines_that_differ_as_much_in_training_are_none(self, tmp_path: Path) -> None:
        assert doubts_about_splits(self.read(tmp_path, plant(hot="", spread=3))) == []

    def test_what_moves_in_a_machine_of_validation_is_no_change_after_training(self, tmp_path: Path) -> None:
        data = self.read(tmp_path, plant(hot=""))
        values = data.val.values.copy()
        machine = data.val.machines == data.val.machines[0]
        values[np.flatnonzero(machine)[100:], 0] += 12
        moved = replace(data, val=replace(data.val, values=values))
        assert doubts_about_splits(moved) == []

    def test_a_sensor_that_a_machine_lacks_has_no_time_at_which_it_ends(self, tmp_path: Path) -> None:
        data = self.read(tmp_path, plant(hot=""))
        values = data.test.values.copy()
        values[:, 1] = np.nan
        (said,) = doubts_about_splits(replace(data, test=replace(data.test, values=values)))
        assert said == "load has no reading in 100% of the test rows and 0% of the training rows"

    def test_the_whole_way(self, tmp_path: Path) -> None:
        path = csv(tmp_path / "rows.csv", plant(2500, machines=5, hot=""))
        data, model = tmp_path / "data", tmp_path / "model"
        prepare(data, "--csv", path, "--split", "machine:60/20/20")
        there = machines_in(data)
        words = ("--data", data, "-o", model, "--recipe", "linear", "--no-mlflow", "--no-plots")
        done = command("fit", *words, "--per-machine")
        assert "2,500 test rows of 1 machine that 'model' was not trained on count, as the" in done.stderr
        assert "--per-machine: val has no row of a machine that is trained on" in done.stderr
        checkpoint = Checkpoint.load(model / "checkpoint")
        assert set(checkpoint.provenance.machines) == there["train"]
        assert checkpoint.threshold.per_machine.keys() == there["val"]
        for scoring in (("report",), ("compare", "--no-mlflow")):
            done = command(*scoring, "--data", data, "--fit", model)
            assert "was not trained on count, as the tables" in done.stderr
        with pytest.raises(UsageError, match="each machine is in one table alone, and a fleet needs"):
            command("fleet", "--data", data, "-o", tmp_path / "fleet")
