"""`edge-detect inspect --diff`: what differs between two bundles."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.bundles import SENSORS, make_bundle
from support.commands import assert_one_clear_line

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command


def test_what_differs_is_listed_and_what_it_does_to_verdicts(tmp_path: Path, command: Command) -> None:
    first = make_bundle(tmp_path, "one.onnx", train=50)
    second = make_bundle(tmp_path, "two.onnx", train=50, quantile=0.2)
    done = command("edge-detect", "inspect", first, "--diff", second)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    named = {line.split()[0] for line in text.splitlines()[1:] if line and not line.startswith("The")}
    assert named - {"bytes"} == {"content_digest", "digest", "threshold.quantile", "threshold.value"}
    assert text.splitlines()[0].split() == ["one.onnx", "two.onnx"]
    found = json.loads(command("edge-detect", "inspect", first, "--diff", second, "--json").stdout)
    assert found["fields"]["threshold.quantile"] == [0.99, 0.2]
    assert found["scored"]["rows"] == 32
    # Most of the rows are above the lower threshold.
    assert found["scored"]["verdicts"] > 16
    assert found["scored"]["largest_difference"] > 0


def test_what_a_baseline_adds_is_listed(tmp_path: Path, command: Command) -> None:
    first, second = make_bundle(tmp_path, "one.onnx"), make_bundle(tmp_path, "two.onnx", channels=True)
    follows = make_bundle(tmp_path, "three.onnx", channels=True, horizon=2048.0)
    done = command("edge-detect", "inspect", first, "--diff", second)
    assert b"baseline" not in done.stdout
    done = command("edge-detect", "inspect", second, "--diff", follows)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.decode().splitlines()]
    assert ["baseline.horizon", "-", "2048"] in rows
    assert ["baseline.rows", "-", "128"] in rows
    assert ["format_version", "1", "2"] in rows
    assert ["needs", "none", "('baseline',)"] in rows
    assert not [row for row in rows if row and row[0].startswith("baseline.golden")]
    found = json.loads(command("edge-detect", "inspect", second, "--diff", follows, "--json").stdout)
    assert found["fields"]["needs"] == [[], ["baseline"]]


def test_bundles_of_other_sensors_are_compared_without_scores(tmp_path: Path, command: Command) -> None:
    first, second = make_bundle(tmp_path, "one.onnx"), make_bundle(tmp_path, "two.onnx", sensors=SENSORS[:2])
    done = command("edge-detect", "inspect", first, "--diff", second)
    assert done.returncode == 0, done.stderr
    assert b"sensors.power.unit" in done.stdout
    assert b"have different sensors" in done.stdout


def test_a_bundle_is_the_same_as_itself(tmp_path: Path, command: Command) -> None:
    path = make_bundle(tmp_path)
    done = command("edge-detect", "inspect", path, "--diff", path)
    assert (done.returncode, done.stdout) == (0, b"The two bundles are the same file.\n")


def test_one_that_cannot_be_used_is_named(tmp_path: Path, command: Command) -> None:
    path = make_bundle(tmp_path)
    (tmp_path / "bad.onnx").write_bytes(b"bad")
    done = command("edge-detect", "inspect", path, "--diff", tmp_path / "bad.onnx")
    assert_one_clear_line(done, 1, "bad.onnx")
