"""`edge-detect score`: a CSV in, a CSV out, whole or not at all, and one clear line for what is wrong."""

from __future__ import annotations

import csv
import gzip
import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows
from support.commands import assert_one_clear_line
from support.tampering import with_document

from edge_runtime.engine.engine import Engine
from edge_runtime.loading.load import load_bundle
from edge_runtime.records import Readings

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

NAMES = [sensor[0] for sensor in SENSORS]


def table(path: Path, rows: int = 20, *, machine: bool = True) -> Path:
    values = normal_rows(rows, seed=5)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["time", *(["machine_id"] if machine else []), *NAMES])
        for i, row in enumerate(values.tolist()):
            writer.writerow([f"2026-01-01T00:00:{i:02}Z", *(["m1"] if machine else []), *row])
    return path


def read(text: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.decode())))


def test_the_scores_are_the_scorers_and_the_columns_say_which(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    source = table(tmp_path / "in.csv")
    done = command("edge-detect", "score", source, "-o", "out.csv", "--bundle", bundle, "--expected")
    assert done.returncode == 0, done.stderr
    assert b"20 rows read" in done.stderr
    rows = read((tmp_path / "out.csv").read_bytes())
    head = ["time", "machine_id", "score", "severity", "verdict", "reason"]
    assert list(rows[0]) == [*head, *(f"error_{n}" for n in NAMES), *(f"expected_{n}" for n in NAMES)]
    values = np.array(
        [[float(v) for v in row[2:]] for row in list(csv.reader(source.open()))[1:]], np.float32
    )
    wanted = Engine(load_bundle(bundle)).feed(Readings(np.full(20, "m1"), np.arange(20), values)).results
    assert [np.float32(row["score"]) for row in rows] == wanted.scores.score.tolist()
    assert rows[3]["time"] == "2026-01-01T00:00:03Z"


def test_a_row_without_a_reading_is_unknown_never_normal(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    text = table(tmp_path / "in.csv", 3).read_text().splitlines()
    for i, broken in ((1, "nan"), (2, ""), (3, "inf")):
        cells = text[i].split(",")
        cells[3] = broken
        text[i] = ",".join(cells)
    done = command(
        "edge-detect", "score", "-", "-o", "-", "--bundle", bundle, stdin="\n".join(text).encode() + b"\n"
    )
    assert done.returncode == 0, done.stderr
    rows = read(done.stdout)
    assert [row["verdict"] for row in rows] == ["unknown"] * 3
    assert {row["score"] for row in rows} == {""}
    assert [row["reason"] for row in rows] == ["missing", "missing", "not finite"]


def test_gzip_and_a_table_without_machines_are_read_too(
    command: Command, bundle: Path, tmp_path: Path
) -> None:
    plain = table(tmp_path / "in.csv", machine=False)
    packed = tmp_path / "in.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    done = command("edge-detect", "score", packed, "-o", "out.csv", "--bundle", bundle)
    assert done.returncode == 0, done.stderr
    assert len(read((tmp_path / "out.csv").read_bytes())) == 20


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (None, 2, ("in.csv", "No such file")),
        ("", 1, ("in.csv", "empty")),
        ("time,machine_id,temperature\n", 1, ("in.csv", "vibration")),
        ("HEAD\n2026-01-01T00:00:00Z,m1,1,2,3\n", 1, ("line 2",)),
        ("HEAD\n2026-01-01T00:00:00Z,m1,1,2,3,warm\n", 1, ("line 2", "warm")),
        ("HEAD\nyesterday,m1,1,2,3,4\n", 1, ("line 2", "yesterday")),
    ],
    ids=["missing", "empty", "column", "ragged", "type", "time"],
)
def test_bad_input_is_one_clear_line_and_no_output(
    command: Command, bundle: Path, tmp_path: Path, text: str | None, code: int, words: tuple[str, ...]
) -> None:
    if text is not None:
        (tmp_path / "in.csv").write_text(text.replace("HEAD", "time,machine_id," + ",".join(NAMES)))
    done = command("edge-detect", "score", "in.csv", "-o", "out.csv", "--bundle", bundle)
    assert_one_clear_line(done, code, *words)
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


def test_an_output_that_is_there_survives_a_failure(command: Command, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("before")
    good = table(tmp_path / "in.csv").read_text()
    (tmp_path / "in.csv").write_text(good + "2026-01-01T00:01:00Z,m1,1,2\n")
    done = command("edge-detect", "score", "in.csv", "-o", "out.csv", "--bundle", bundle)
    assert_one_clear_line(done, 1, "line 22")
    assert (tmp_path / "out.csv").read_text() == "before"


def test_bundles_that_cannot_be_used_are_named(command: Command, bundle: Path, tmp_path: Path) -> None:
    table(tmp_path / "in.csv")
    (tmp_path / "text.onnx").write_text("this is no model")
    later = with_document(bundle.read_bytes(), lambda document: document.update(format_version=3))
    (tmp_path / "later.onnx").write_bytes(later)
    other = make_bundle(tmp_path, "other.onnx", sensors=[("pressure", "Pa", 1e5, 50.0, None), SENSORS[0]])
    for name, words in (
        ("none.onnx", ("none.onnx",)),
        ("text.onnx", ("text.onnx", "not an ONNX file")),
        ("later.onnx", ("later.onnx", "format version 3")),
    ):
        done = command("edge-detect", "score", "in.csv", "-o", "out.csv", "--bundle", name)
        assert_one_clear_line(done, 2 if name == "none.onnx" else 1, *words)
    renamed = (tmp_path / "in.csv").read_text().replace("pressure", "flow")
    (tmp_path / "in.csv").write_text(renamed)
    done = command("edge-detect", "score", "in.csv", "-o", "out.csv", "--bundle", other)
    assert_one_clear_line(done, 1, "pressure")
    assert not (tmp_path / "out.csv").exists()
