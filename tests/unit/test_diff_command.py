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
