"""Machines in training: those that are chosen, those that tables lack, and those that were not trained on."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from support.history import machine_rows
from typer.testing import CliRunner

from edge_runtime import load_bundle
from edge_runtime.errors import EdgeDetectError, InputError, TrainingError, UsageError
from trainer.cli import app
from trainer.data.choice import Columns
from trainer.data.machines import untrained
from trainer.data.training_data import read_training_data
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typer.testing import Result


SPLITS = ("train", "val", "test")
ALL = ("press-1", "press-2", "press-3")
FIT = ("--recipe", "linear", "--no-mlflow", "--no-plots")


def tables(folder: Path, machines: Mapping[str, Sequence[str]], rows: int = 600) -> Path:
    """A folder with rows of these machines in each split."""
    folder.mkdir()
    for day, (name, names) in enumerate(machines.items()):
        parts = [machine_rows(rows, day=day, machine=machine) for machine in names]
        pd.concat(parts).to_csv(folder / f"{name}.csv", index=False)
    return folder


def changed(folder: Path, machine: str, **values: float) -> Path:
    """The same folder, with other readings of a machine."""
    for name in SPLITS:
        frame = pd.read_csv(folder / f"{name}.csv")
        frame.loc[frame["machine_id"] == machine, list(values)] = list(values.values())
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


def edge_train(*words: str | Path) -> Result:
    """What the command did; its error is raised."""
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tables(tmp_path / "data", {"train": ALL, "val": ALL, "test": ("press-1", "press-2")})


class TestChosen:
    def test_only_their_rows_are_read_of_every_table(self, folder: Path) -> None:
        data = read_training_data(folder, Columns(machines=("press-2",)))
        whole = read_training_data(folder, Columns())
        for name in SPLITS:
            split, everything = getattr(data, name), getattr(whole, name)
            assert set(split.machines) == {"press-2"}
            rows = everything.machines == "press-2"
            np.testing.assert_array_equal(split.values, everything.values[rows])
            np.testing.assert_array_equal(split.labels, everything.labels[rows])
        assert data.remarks == ()

    def test_the_cadence_is_theirs(self, folder: Path) -> None:
        frame = pd.read_csv(folder / "train.csv")
        slow = (frame["machine_id"] == "press-2") & (frame.index % 10 != 0)
        frame[~slow].to_csv(folder / "train.csv", index=False)
        (folder / "metadata.json").write_text(json.dumps({"cadence_seconds": 1.0}))
        assert read_training_data(folder, Columns()).cadence_seconds == 1.0
        assert read_training_data(folder, Columns(machines=("press-2",))).cadence_seconds == 10.0

    def test_a_sensor_that_they_lack_is_said(self, folder: Path) -> None:
        changed(folder, "press-2", power=np.nan)
        assert len(read_training_data(folder, Columns()).sensors) == 4
        with pytest.raises(InputError, match=r"train.csv: column 'power' has no reading; choose others"):
            read_training_data(folder, Columns(machines=("press-2",)))

    def test_a_machine_that_is_nowhere_is_refused_with_those_that_are_there(self, folder: Path) -> None:
        with pytest.raises(UsageError) as caught:
            edge_train("fit", "--data", folder, *FIT, "--machine", "press-1", "--machine", "press-9")
        assert str(caught.value) == (
            "--machine: the tables have no row of press-9; they have rows of press-1, press-2, press-3"
        )

    def test_a_machine_that_one_table_lacks_is_said(self, folder: Path) -> None:
        data = read_training_data(folder, Columns(machines=("press-1", "press-3")))
        assert data.remarks == ("machine 'press-3' has no rows in test",)
        assert set(data.test.machines) == {"press-1"}

    def test_a_table_without_a_row_of_them_is_an_error(self, folder: Path) -> None:
        with pytest.raises(
            InputError,
            match=r"test.csv: no row of press-3; .*: test has rows of press-1, press-2$",
        ):
            read_training_data(folder, Columns(machines=("press-3",)))

    def test_a_table_without_machines_is_of_one(self, folder: Path) -> None:
        for name in SPLITS:
            frame = pd.read_csv(folder / f"{name}.csv")
            frame[frame["machine_id"] == "press-1"].drop(columns="machine_id").to_csv(
                folder / f"{name}.csv", index=False
            )
        assert len(read_training_data(folder, Columns(machines=("machine",))).train) == 600
        with pytest.raises(UsageError, match="they have rows of machine$"):
            read_training_data(folder, Columns(machines=("press-1",)))

    def test_fit_compare_and_report_read_them_alone(self, folder: Path, tmp_path: Path) -> None:
        model, figures = tmp_path / "model", tmp_path / "figures.json"
        done = edge_train("fit", "--data", folder, *FIT, "-o", model, "--machine", "press-1")
        assert Checkpoint.load(model / "checkpoint").provenance.machines == ("press-1",)
        again = done.stdout.splitlines()[-1].partition("run: ")[2]
        words = shlex.split(again)
        assert words[-2:] == ["--machine", "press-1"]
        edge_train(*words[1:])
        page = (model / "report.html").read_text()
        assert "600 train, 600 validation, 600 test" in page
        chosen = ("--machine", "press-1")
        edge_train("compare", "--data", folder, "--fit", model, "-o", figures, "--no-mlflow", *chosen)
        assert json.loads(figures.read_text())["model"]["rows"] == 600


class TestNotTrainedOn:
    def test_a_machine_that_lacks_a_sensor_is_warned_of_and_not_named_as_trained(
        self, folder: Path, tmp_path: Path
    ) -> None:
        changed(folder, "press-2", power=np.nan)
        done = edge_train("fit", "--data", folder, *FIT, "-q", "-o", tmp_path / "model")
        said = "machine 'press-2' has no reading of 'power' and was not trained on"
        assert f"WARNING: {said}\n" in done.stderr
        assert said in json.loads((tmp_path / "model" / "metrics.json").read_text())["warnings"]
        checkpoint = Checkpoint.load(tmp_path / "model" / "checkpoint")
        assert checkpoint.provenance.machines == ("press-1", "press-3")
        bundle = load_bundle(tmp_path / "model" / "bundle.onnx")
        assert bundle.metadata.provenance.machines == ("press-1", "press-3")
        with pytest.raises(TrainingError, match="the tables are not plausible"):
            edge_train("fit", "--data", folder, *FIT, "-q", "-o", tmp_path / "strict", "--strict")

    def test_each_reason_is_said_once(self, folder: Path) -> None:
        changed(changed(folder, "press-2", power=np.nan), "press-3", anomaly=1)
        data = read_training_data(folder, Columns())
        assert list(untrained(data.train, data.sensors)) == [
            "machine 'press-2' has no reading of 'power' and was not trained on",
            "machine 'press-3' has no complete row that is normal and was not trained on",
        ]
        train = data.train.values.copy()
        train[data.train.machines == "press-1", 0] = np.nan
        train[data.train.machines == "press-2"] = 1.0
        train[data.train.machines == "press-2", np.arange(600) % 2] = np.nan
        split = replace(data.train, values=train)
        assert list(untrained(split, data.sensors))[:2] == [
            "machine 'press-1' has no reading of 'temperature' and was not trained on",
            "machine 'press-2' has no row with a reading of every sensor and was not trained on",
        ]
        train[:, 3] = np.nan
        train[data.train.machines == "press-1", 0] = 1.0
        train[data.train.machines == "press-2", :3] = 1.0
        assert list(untrained(replace(split, values=train), data.sensors)) == [
            "3 machines have no reading of 'power' and were not trained on: press-1, press-2, press-3"
        ]

    def test_where_all_are_trained_on_nothing_is_said(self, folder: Path) -> None:
        data = read_training_data(folder, Columns())
        assert list(untrained(data.train, data.sensors)) == []


class TestScored:
    """Test rows of a machine that the detector was not trained on."""

    @pytest.fixture
    def labelled(self, tmp_path: Path) -> Path:
        return tables(
            tmp_path / "late", {"train": ALL[:2], "val": ALL[:2], "test": (*ALL, "press 4")}, rows=400
        )

    @pytest.fixture
    def late(self, labelled: Path) -> Path:
        """The same without labels, of which a report shows less."""
        for name in SPLITS:
            frame = pd.read_csv(labelled / f"{name}.csv")
            frame.drop(columns=["anomaly", "kind"]).to_csv(labelled / f"{name}.csv", index=False)
        return labelled

    def fitted(self, data: Path, folder: Path, *words: str) -> tuple[Path, Result]:
        return folder, edge_train("fit", "--data", data, *FIT, "-o", folder, *words)

    def test_they_are_refused_with_options_that_work(self, labelled: Path, tmp_path: Path) -> None:
        model, _ = self.fitted(labelled, tmp_path / "model")
        compare = ("compare", "--data", labelled, "--fit", model, "--no-mlflow")
        for words in (compare, ("report", "--data", labelled, "--fit", model)):
            with pytest.raises(UsageError) as caught:
                edge_train(*words)
            assert caught.value.what == (
                "'model' was not trained on press 4, press-3, of which there are 800 rows"
            )
            hint = caught.value.hint or ""
            assert hint.startswith("take --machine press-1 --machine press-2 alone, which it was trained on")
            chosen = edge_train(*words, "--machine", "press-1", "--machine", "press-2")
            assert "not trained on" not in chosen.stderr
            asked = edge_train(*words, "--any-machine")
            said = "800 test rows of 2 machines that 'model' was not trained on count: press 4, press-3"
            assert said in asked.stderr.splitlines()[-1]
        page = (model / "report.html").read_text()
        assert "800 test rows of 2 machines that the detector was not trained on are among them" in page

    def test_the_command_that_fit_prints_works(self, late: Path, tmp_path: Path) -> None:
        _, done = self.fitted(late, tmp_path / "model")
        said = "800 test rows of 2 machines that 'model' was not trained on count: press 4, press-3"
        assert said in done.stderr
        words = shlex.split(done.stdout.splitlines()[-1].partition("run: ")[2])
        assert words[-1] == "--any-machine"
        edge_train(*words[1:])

    def test_of_several_fits_those_that_all_were_trained_on_are_named(
        self, late: Path, tmp_path: Path
    ) -> None:
        one, _ = self.fitted(late, tmp_path / "one", "--machine", "press-1")
        two, _ = self.fitted(late, tmp_path / "two", "--machine", "press-2")
        both, _ = self.fitted(late, tmp_path / "both")
        words = ("compare", "--data", late, "--no-mlflow", "--fit")
        with pytest.raises(UsageError, match="'one' was .* take --machine press-1 alone"):
            edge_train(*words, both, "--machine", "press-1", "--machine", "press-2", "--fit", one)
        with pytest.raises(UsageError, match="; add --any-machine to score") as caught:
            edge_train(*words, one, "--fit", two)
        assert caught.value.exit_code == 2

    def test_rows_that_are_not_scored_are_no_reason(self, late: Path, tmp_path: Path) -> None:
        model, _ = self.fitted(late, tmp_path / "model")
        changed(changed(late, "press-3", power=np.nan), "press 4", power=np.nan)
        assert "not trained on" not in edge_train("report", "--data", late, "--fit", model).stderr

    def test_nothing_is_refused_where_nobody_knows_the_machines(self, late: Path, tmp_path: Path) -> None:
        named, _ = self.fitted(late, tmp_path / "named")
        path = named / "checkpoint" / "training.json"
        old = json.loads(path.read_text())
        del old["provenance"]["machines"]
        path.write_text(json.dumps(old))
        edge_train("report", "--data", late, "--fit", named)
        again, _ = self.fitted(late, tmp_path / "again")
        bare = tmp_path / "bare"
        bare.mkdir()
        for name in SPLITS:
            frame = pd.read_csv(late / f"{name}.csv")
            frame[frame["machine_id"] == "press-1"].drop(columns="machine_id").to_csv(
                bare / f"{name}.csv", index=False
            )
        edge_train("report", "--data", bare, "--fit", again)
        nameless, _ = self.fitted(bare, tmp_path / "nameless")
        assert Checkpoint.load(nameless / "checkpoint").provenance.machines == ("machine",)
        edge_train("report", "--data", late, "--fit", nameless)

    def test_tables_that_are_split_by_machine_are_meant_so(self, late: Path, tmp_path: Path) -> None:
        (late / "metadata.json").write_text(json.dumps({"split": {"by": "machine"}}))
        model, done = self.fitted(late, tmp_path / "model")
        said = "that 'model' was not trained on count, as the tables are split by machine: press 4, press-3"
        assert said in done.stderr
        words = shlex.split(done.stdout.splitlines()[-1].partition("run: ")[2])
        assert "--any-machine" not in words
        assert said in edge_train(*words[1:]).stderr
        assert said in edge_train("compare", "--data", late, "--fit", model, "--no-mlflow").stderr
