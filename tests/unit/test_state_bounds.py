"""What a bundle keeps of its machines is bounded wherever rows are judged."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_bundle, normal_rows
from support.commands import assert_one_clear_line
from support.tampering import with_document, with_model

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.cli.score import score
from edge_runtime.engine.stage import KNOWN_MB, STATE_MB
from edge_runtime.errors import BundleError
from edge_runtime.gateway.settings import RunPart
from edge_runtime.scorefile.blocks import Block
from edge_runtime.scorefile.lanes import Lanes

if TYPE_CHECKING:
    from pathlib import Path

    import onnx
    from support.commands import Command

    from edge_runtime import Bundle

WIDE = 65_536
STATE_BYTES = WIDE * 4 * 4  # of a machine
ROOM = 256_000_000 // (STATE_BYTES + 1000)  # of how many there is room for, or one or two more


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose state is 1 MB: the rows that its graph needs, and many that it only hands on."""
    from onnx import helper, numpy_helper  # noqa: PLC0415

    path = make_bundle(tmp_path_factory.mktemp("bomb"), widths=(8, 2, 8), smooth=4)

    def widened(model: onnx.ModelProto) -> None:
        graph = model.graph
        (needed,) = (d.dim_value for d in graph.input[1].type.tensor_type.shape.dim[:1])
        for node in graph.node:
            node.input[:] = ["needed" if name == "state" else name for name in node.input]
            node.output[:] = ["needed_out" if name == "state_out" else name for name in node.output]
        for name, value in (("nought", 0), ("needed_rows", needed), ("wide", WIDE), ("first_axis", 0)):
            graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
        first = helper.make_node("Slice", ["state", "nought", "needed_rows", "first_axis"], ["needed"])
        graph.node.insert(0, first)
        graph.node.append(helper.make_node("Slice", ["state", "needed_rows", "wide", "first_axis"], ["rest"]))
        graph.node.append(helper.make_node("Concat", ["needed_out", "rest"], ["state_out"], axis=0))
        for value in (graph.input[1], graph.output[3]):
            value.type.tensor_type.shape.dim[0].dim_value = WIDE

    data = with_model(path.read_bytes(), widened)
    path.write_bytes(with_document(data, lambda d: d["model"].update(state_shape=[WIDE, 4])))
    return path


@pytest.fixture(scope="module")
def loaded(bomb: Path) -> Bundle:
    return load_bundle(bomb)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """One whose graph remembers a few rows, and nothing else."""
    return load_bundle(make_bundle(tmp_path_factory.mktemp("small"), smooth=4))


def rows_of(machines: int) -> Readings:
    """One row of each."""
    names = np.array([f"m{i}" for i in range(machines)])
    return Readings(names, np.arange(machines), normal_rows(machines))


def csv(path: Path, machines: int) -> Path:
    lines = ["time,machine_id,temperature,vibration,pressure,power"]
    lines += [f"2026-01-01T00:00:00Z,m{i},55,1.2,50,235" for i in range(machines)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_the_defaults_are_the_same_everywhere() -> None:
    part = RunPart()
    assert part.state_mb == STATE_MB == inspect.signature(score).parameters["state_mb"].default


def test_an_engine_of_any_number_of_machines_keeps_to_the_memory(loaded: Bundle) -> None:
    engine = Engine(loaded)
    assert ROOM - 1 <= engine.max_machines <= 256_000_000 // STATE_BYTES
    reasons = engine.feed(rows_of(ROOM + 20)).reasons
    assert reasons == [""] * engine.max_machines + ["too many machines"] * (ROOM + 20 - engine.max_machines)
    assert engine.machines == engine.max_machines
    assert Engine(loaded, state_mb=512).max_machines >= 2 * ROOM - 1


def test_more_than_there_is_memory_for_is_refused_with_the_sum(loaded: Bundle) -> None:
    with pytest.raises(
        BundleError, match=r"the states of 1,000 machines may take 1,0\d\d MB, and state_mb is 256"
    ):
        Engine(loaded, max_machines=1000)
    assert Engine(loaded, max_machines=200).max_machines == 200
    with pytest.raises(
        BundleError, match="the state of one machine may take 1 MB, and there are 1 MB for all"
    ):
        Engine(loaded, state_mb=1)


def test_a_small_bundle_has_room_for_a_hundred_thousand_machines(small: Bundle) -> None:
    most = Engine(small).max_machines
    assert 100_000 < most <= KNOWN_MB * 1e6 / 10_000
    assert Engine(small, state_mb=2 * KNOWN_MB).max_machines >= 2 * most - 1


def test_a_bundle_that_follows_levels_has_room_for_thirty_thousand() -> None:
    default = load_bundle()
    most = Engine(default).max_machines
    assert 30_000 < most < STATE_MB * 1e6 / 4 / 16 / 64  # the residuals that wait are the most of it
    assert Engine(default, state_mb=2 * STATE_MB).max_machines >= 2 * most - 1


@pytest.mark.parametrize("workers", [1, 3])
def test_a_file_of_more_machines_is_refused_and_not_half_scored(loaded: Bundle, workers: int) -> None:
    lanes = Lanes(loaded, workers, with_expected=False)
    try:
        few = rows_of(ROOM - 5)
        assert [len(results) for _, results in lanes.score([Block(few, None)])] == [ROOM - 5]
        many = rows_of(ROOM + 5)
        with pytest.raises(
            BundleError, match=r"rows of more than 24\d machines.*raise --state-mb above 256,"
        ):
            list(lanes.score([Block(many, None)]))
        again = Lanes(loaded, workers, with_expected=False, state_mb=128)
        with pytest.raises(BundleError, match=r"rows of more than 12\d machines"):
            again.restore(lanes.states())
        again.close()
    finally:
        lanes.close()


def test_the_hint_names_the_memory_that_helps(small: Bundle) -> None:
    lanes = Lanes(small, 1, with_expected=False)
    assert "raise --state-mb above 2,048," in str(lanes._too_many())
    lanes.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_score_says_so_and_leaves_no_file(command: Command, bomb: Path, tmp_path: Path, workers: int) -> None:
    csv(tmp_path / "in.csv", ROOM + 20)
    words = ("edge-detect", "score", "in.csv", "-o", "out.csv", "--bundle", bomb, "--workers", workers)
    assert_one_clear_line(command(*words), 1, "bundle.onnx: there are rows of more than", "raise --state-mb")
    assert not (tmp_path / "out.csv").exists()
    assert command(*words, "--state-mb", 400).returncode == 0
    assert (tmp_path / "out.csv").read_text().count("\n") == ROOM + 21


def test_verify_check_and_run_refuse_what_a_gateway_has_no_memory_for(command: Command, bomb: Path) -> None:
    said = "the states of 1,000 machines may take 1,0"
    done = command("edge-detect", "verify", bomb)
    assert_one_clear_line(done, 1, said)
    assert done.stdout.endswith(b"REFUSED  states\n")
    words = ("--bundle", bomb, "--source", "stdin")
    assert_one_clear_line(command("edge-detect", "check", *words, "--seconds", 0.1), 1, said)
    assert_one_clear_line(command("edge-detect", "run", *words), 1, said)
    few = ("--set", "run.max_machines=100")
    row = csv(bomb.with_name("row.csv"), 1).read_bytes()
    assert command("edge-detect", "run", *words, *few, stdin=row).returncode == 0
