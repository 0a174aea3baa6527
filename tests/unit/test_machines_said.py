"""What `edge-train` says of machines that are not there, or not as somebody thought."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from support.history import machine_rows
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, InputError, UsageError
from trainer.cli import app
from trainer.cli.compare import named_folders
from trainer.data.choice import Columns
from trainer.data.machines import strangers
from trainer.data.plausible import doubts_about_splits
from trainer.data.training_data import TrainingData, read_training_data

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def tables(folder: Path, machines: Mapping[str, Sequence[str]]) -> TrainingData:
    folder.mkdir()
    for day, (name, names) in enumerate(machines.items()):
        parts = [machine_rows(600, day=day, machine=machine) for machine in names]
        pd.concat(parts).to_csv(folder / f"{name}.csv", index=False)
    return read_training_data(folder, Columns())


def history(folder: Path, *machines: str) -> Path:
    path = folder / "history.csv"
    pd.concat([machine_rows(600, machine=machine) for machine in machines]).to_csv(path, index=False)
    return path


def edge_train(*words: str | Path) -> str:
    """What the command prints on both streams; its error is raised."""
    result = CliRunner().invoke(app, list(map(str, words)))
    if isinstance(result.exception, EdgeDetectError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


class TestPrepare:
    def test_events_of_machines_without_rows_are_counted(self, tmp_path: Path) -> None:
        source, events = history(tmp_path, "press-1", "press-2"), tmp_path / "events.csv"
        frame = pd.read_csv(source)
        start, stop = frame["time"].iloc[10], frame["time"].iloc[20]
        lines = [f"{name},hot,{start},{stop}\n" for name in ("Press-1", "press-2", "Press-2", "Press-2")]
        events.write_text("machine_id,kind,start,stop\n" + "".join(lines))
        words = ("prepare", "--csv", source, "--drop", "anomaly", "--events-file", events, "--gap", "0", "-o")
        said = edge_train(*words, tmp_path / "all")
        nothing = "events label nothing, as there is no row of their machines"
        assert f"3 {nothing}: Press-1, Press-2" in said
        assert nothing not in edge_train(*words, tmp_path / "one", "--machine", "press-2")

    def test_a_machine_without_a_row_is_named(self, tmp_path: Path) -> None:
        words = ("prepare", "--csv", history(tmp_path, "press-1"), "--gap", "0", "-o", tmp_path / "data")
        assert "there is no row of press-9" in edge_train(
            *words, "--machine", "press-1", "--machine", "press-9"
        )

    def test_a_machine_of_anomalies_is_no_validation(self, tmp_path: Path) -> None:
        source = history(tmp_path, "a", "b", "c", "d")
        words = ("prepare", "--csv", source, "--split", "machine:50/25/25", "-o")
        for bad in "abcd":
            frame = pd.read_csv(source)
            frame.loc[frame["machine_id"] == bad, "anomaly"] = 1
            frame.to_csv(source, index=False)
            edge_train(*words, tmp_path / bad)
            assert (pd.read_csv(tmp_path / bad / "val.csv")["anomaly"] == 0).any()
            frame["anomaly"] = 0
            frame.to_csv(source, index=False)

    def test_a_validation_of_anomalies_alone_is_said(self, tmp_path: Path) -> None:
        source = history(tmp_path, "a")
        frame = pd.read_csv(source)
        frame.loc[400:550, "anomaly"] = 1
        frame.to_csv(source, index=False)
        said = edge_train("prepare", "--csv", source, "--gap", "0", "-o", tmp_path / "data")
        assert "no row of val is complete and normal" in said


class TestSplits:
    def test_a_machine_of_validation_alone_is_doubted(self, tmp_path: Path) -> None:
        data = tables(tmp_path / "data", {"train": ("a",), "val": ("a", "b"), "test": ("a",)})
        assert any("rows of b set the threshold" in doubt for doubt in doubts_about_splits(data))

    def test_a_trained_machine_without_a_complete_row_later_is_doubted(self, tmp_path: Path) -> None:
        names = tuple("abcdef")
        tables(tmp_path / "data", dict.fromkeys(("train", "val", "test"), names))
        frame = pd.read_csv(tmp_path / "data" / "test.csv")
        frame.loc[frame["machine_id"] == "c", "power"] = np.nan
        frame.to_csv(tmp_path / "data" / "test.csv", index=False)
        doubts = doubts_about_splits(read_training_data(tmp_path / "data", Columns()))
        assert "no row of c in test has a reading of every sensor" in doubts
        assert not any("in validation has a reading" in doubt for doubt in doubts)

    def test_all_tables_that_lack_the_machines_are_named_at_once(self, tmp_path: Path) -> None:
        tables(tmp_path / "data", {"train": ("a",), "val": ("b",), "test": ("c",)})
        with pytest.raises(InputError, match=r"train.csv, .*val.csv: no row of c; .*rows of a, val"):
            read_training_data(tmp_path / "data", Columns(machines=("c",)))


class TestScored:
    def test_a_machine_that_is_called_machine_is_one_of_several(self, tmp_path: Path) -> None:
        data = tables(tmp_path / "data", {"train": ("a",), "val": ("a",), "test": ("a", "machine")})
        with pytest.raises(UsageError, match="'fit' was not trained on machine"):
            list(strangers(data.test, {"fit": ("a",)}, wanted=False, by_machine=False))

    def test_a_test_machine_that_was_trained_on_is_said(self, tmp_path: Path) -> None:
        data = tables(tmp_path / "data", {"train": ("a",), "val": ("b",), "test": ("c",)})
        said = list(strangers(data.test, {"other": ("b", "c")}, wanted=False, by_machine=True))
        assert said == ["'other' was trained on c, though the tables keep their rows for the test"]

    def test_folders_of_one_name_are_told_apart(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other, third = (tmp_path / part for part in ("a/x/fit", "b/x/fit", "c"))
        assert list(named_folders([one, other, third])) == ["a/x/fit", "b/x/fit", "c"]
        assert named_folders([third]) == {"c": third}
        with pytest.raises(UsageError, match="--fit: .*fit is named twice"):
            named_folders([one, other, one])
        third.mkdir()
        monkeypatch.chdir(third)
        assert list(named_folders([type(one)(".")])) == ["c"]

    def test_a_report_of_chosen_machines_does_not_claim_other_files(self, tmp_path: Path) -> None:
        names = ("a", "b")
        tables(tmp_path / "data", dict.fromkeys(("train", "val", "test"), names))
        fit = ("--recipe", "linear", "--no-mlflow", "--no-plots", "-o", tmp_path / "fit", "-q")
        edge_train("fit", "--data", tmp_path / "data", *fit)
        page = tmp_path / "page.html"
        words = ("report", "--data", tmp_path / "data", "--fit", tmp_path / "fit", "-o", page)
        edge_train(*words, "--machine", "a")
        claim = "are not those that the detector was trained with"
        assert claim not in page.read_text()
        (tmp_path / "data" / "test.csv").write_text((tmp_path / "data" / "val.csv").read_text())
        edge_train(*words)
        assert claim in page.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--model", "convolutional", "--recipe", "best"),
            "--clamp: a convolutional model .*; recipe 'best' sets it, so add --clamp none",
        ),
        (("--model", "pca", "--recipe", "best"), "recipe 'best' sets --widths; choose another --recipe"),
        (("--model", "pca", "--differences"), "--differences: a pca model .*; leave it out"),
        (("--harmonics", "5"), "--harmonics: requires --period"),
        (("--one-channel", "--sudden", "0.5"), "--sudden: requires two channels; add --two-channels"),
        (("--scaler", "standard"), "--clamp: requires .* minmax; .* sets it, so add --clamp none"),
        (("--no-whiten",), "--no-whiten: two channels .*; add --one-channel$"),
        (("--average", "0.1", "--adapt", "off"), "--average: requires a single channel; add --one-channel$"),
        (("--recipe", "plain", "--two-channels"), "--no-whiten: .* recipe 'plain' sets it, so add --whiten"),
        (("--recipe", "mewma", "--two-channels"), "recipe 'mewma' sets --average; choose another"),
        (("--recipe", "plain", "--adapt", "day"), "--adapt: requires two channels; add --two-channels"),
        (("--adapt", "1000"), "--adapt: '1000' is neither off, nor day, nor 1,024 to"),
        (("--clamp", "wide"), "--clamp: 'wide' is not a number; write one, such as 0.25, or none"),
        (("--widths", "fitting"), "--widths: 'fitting' is not a list of widths; write .*, or auto"),
    ],
)
def test_the_hint_of_an_option_is_about_who_set_it(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    tables(tmp_path / "data", dict.fromkeys(("train", "val", "test"), ("a",)))
    with pytest.raises(UsageError, match=message):
        edge_train("fit", "--data", tmp_path / "data", "--no-mlflow", *words)
