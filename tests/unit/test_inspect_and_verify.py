from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.bundles import make_bundle
from support.tampering import with_document

from edge_runtime.cli import main
from edge_runtime.cli.verify import STATES
from edge_runtime.loading.load import STEPS, load_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_bundle(tmp_path, "press.onnx", per_machine={"press-2": 0.25})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["edge-detect", *arguments])
    with pytest.raises(SystemExit) as done:
        main()
    return int(done.value.code or 0)


def test_inspect_shows_what_people_ask_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "inspect", str(path)) == 0
    text = capsys.readouterr().out
    bundle = load_bundle(path)
    for expected in (
        "press.onnx",
        f"{path.stat().st_size:,} bytes",
        "mm/s",
        "-40 to 200",
        "autoencoder, 5,064 parameters, minmax scaling",
        f"{bundle.metadata.threshold.value:.6g}  (percentile 99 on 2,000 rows)",
        "threshold of press-2  0.25",
        "roc_auc  0.9900",
        "press-1, press-2",
        bundle.digest,
        bundle.metadata.content_digest,
        "opset 17, IR 8",
        "6 Gemm",
    ):
        assert expected in text
    starts = [line.index("mm/s") for line in text.splitlines() if "mm/s" in line]
    assert starts == [next(line.index("unit") for line in text.splitlines() if "sensor" in line)]


def test_inspect_for_machines(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "inspect", "--json", str(path)) == 0
    document = json.loads(capsys.readouterr().out)
    bundle = load_bundle(path)
    assert (document["name"], document["digest"], document["bytes"]) == (
        "press.onnx",
        bundle.digest,
        bundle.size,
    )
    assert (document["opset"], document["ir_version"], document["operators"]["Gemm"]) == (17, 8, 6)
    assert document["metadata"]["sensors"][2]["name"] == "pressure"
    assert document["metadata"]["threshold"]["value"] == bundle.metadata.threshold.value
    assert document["golden"]["rows"] == 32


def test_inspect_shows_what_a_bundle_of_version_2_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, follows = make_bundle(tmp_path), make_bundle(tmp_path, "f.onnx", channels=True, horizon=7200.0)
    assert run(monkeypatch, "inspect", str(plain)) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line]
    assert ["levels", "as in training"] in rows
    assert ["needs", "nothing"] in rows
    assert ["format", "version 1, opset 17, IR 8"] in rows
    assert run(monkeypatch, "inspect", str(follows)) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line]
    assert ["levels", "followed over 7,200 rows (2 h), every 256 rows (0.0711 h)"] in rows
    assert ["needs", "baseline"] in rows
    assert ["format", "version 2, opset 17, IR 8"] in rows
    assert run(monkeypatch, "inspect", "--json", str(follows)) == 0
    shown = json.loads(capsys.readouterr().out)["metadata"]
    assert (shown["format_version"], shown["needs"], shown["baseline"]["rows"]) == (2, ["baseline"], 256)
    assert "golden" not in shown["baseline"]


def test_without_a_name_it_is_the_default_bundle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "inspect") == 0
    assert capsys.readouterr().out.startswith("default.onnx")
    assert run(monkeypatch, "verify") == 0
    assert load_bundle().digest in capsys.readouterr().out


def test_verify_names_every_step(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", str(path)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines] == ["ok       "] * (len(STEPS) + 1) + ["verified "]
    assert [line[9:25].strip() for line in lines[:-1]] == [*STEPS, STATES]
    assert "32 golden rows, largest difference" in lines[-3]
    assert lines[-2] == "ok       states          1,000 machines may take 12.6 MB"


def test_verify_for_machines(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "verify", "--json", str(path)) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["golden_rows"]) == (True, 32)
    assert document["digest"] == load_bundle(path).digest
    assert 0 <= document["largest_golden_difference"] < 1e-6
    assert [step["name"] for step in document["steps"]] == [*STEPS, STATES]


def test_a_refused_bundle_exits_1_with_one_line_that_says_why(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(document: dict[str, Any]) -> None:
        document["golden"]["scores"][0] += 1

    path.write_bytes(with_document(path.read_bytes(), change))
    assert run(monkeypatch, "verify", str(path)) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "REFUSED  trial"
    assert len(printed.err.splitlines()) == 1
    assert printed.err.startswith("edge-detect: press.onnx: trial: self-test: 1 of 32 golden rows")

    assert run(monkeypatch, "verify", "--json", str(path)) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["digest"], document["golden_rows"]) == (False, None, None)
    assert [step["ok"] for step in document["steps"]] == [True] * (len(document["steps"]) - 1) + [False]


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_file_that_is_not_there_exits_2(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, command, str(tmp_path / "none.onnx")) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "none.onnx: cannot read the bundle (No such file or directory)" in printed.err
