"""`edge-detect score` on files: the same result in every format, with any workers, however often cut off."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from support.bundles import SENSORS, make_bundle, normal_rows
from support.commands import assert_one_clear_line, unmeasured

from edge_runtime.errors import InterruptedRunError, UsageError
from edge_runtime.loading.load import load_bundle
from edge_runtime.mapping.form import Columns, Form, TimeForm
from edge_runtime.scorefile.arrowfile import ArrowReader
from edge_runtime.scorefile.progress import Progress
from edge_runtime.scorefile.run import Task, score_file
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from support.commands import Command

    from edge_runtime.loading.load import Bundle

NAMES = tuple(sensor[0] for sensor in SENSORS)
MACHINES = ("press", "lathe", 'mill, "2"')
ROWS = 3000
T0 = 1_767_225_600_000_000_000


@pytest.fixture(scope="module")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with memory and hold: a row's verdict depends on all rows of its machine before it."""
    return make_bundle(tmp_path_factory.mktemp("bundle"), smooth=5, average=0.5, train=50)


@pytest.fixture(scope="module")
def loaded(remembering: Path) -> Bundle:
    return load_bundle(remembering)


def rows() -> pa.Table:
    """Three machines' rows, mixed; faults, gaps, and a row that is too late."""
    random = np.random.default_rng(3)
    values = normal_rows(ROWS, seed=3)
    values[500:560] *= 3
    values[random.integers(0, ROWS, 40), 1] = np.nan
    times = T0 + np.arange(ROWS) * 1_000_000_000
    times[1000] = T0
    return pa.table(
        {
            "time": pa.array(times, pa.timestamp("ns", "UTC")),
            "machine_id": pa.array(random.choice(MACHINES, ROWS)),
            **{name: pa.array(values[:, i]) for i, name in enumerate(NAMES)},
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows in every format."""
    folder = tmp_path_factory.mktemp("rows")
    table = rows()
    parquet.write_table(table, folder / "in.parquet", row_group_size=700)
    parquet.write_table(table.slice(0, 10).drop_columns(["machine_id"]), folder / "few.parquet")
    with pa.ipc.new_file(folder / "in.arrow", table.schema) as file:
        file.write_table(table, max_chunksize=500)
    with pa.ipc.new_stream(folder / "in.stream", table.schema) as stream:
        stream.write_table(table, max_chunksize=900)
    frame = table.to_pandas()
    frame["time"] = [f"{t.isoformat()[:19]}Z" for t in frame["time"]]
    frame.to_csv(folder / "in.csv", index=False)
    return folder


def scored(task: Task, bundle: Bundle) -> pa.Table:
    """What was written, times and texts as plain ones."""
    score_file(task, bundle)
    if task.output.suffix == ".parquet":
        table = parquet.read_table(task.output)
    elif task.output.suffix == ".arrow":
        table = pa.ipc.open_file(task.output).read_all()
    else:
        from pyarrow import csv  # noqa: PLC0415

        types = {"machine_id": pa.string(), "reason": pa.string()}
        table = csv.read_csv(task.output, convert_options=csv.ConvertOptions(column_types=types))
    return table


def plain(table: pa.Table) -> dict[str, list[Any]]:
    found = {}
    for name in table.column_names:
        column = table[name]
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
        values = column.to_pylist()
        numbers = name.startswith(("score", "severity", "error", "expected"))
        found[name] = [
            (None if value in (None, "") else float(np.float32(value))) if numbers else (value or "")
            for value in values
        ]
    return found


@pytest.fixture(scope="module")
def wanted(folder: Path, loaded: Bundle) -> dict[str, list[Any]]:
    columns = Columns(NAMES)
    table = scored(Task(folder / "in.parquet", folder / "wanted.parquet", columns), loaded)
    found = plain(table)
    assert {"normal", "anomaly", "unknown"} == set(found["verdict"])
    assert set(found["reason"]) == {"", "missing", "too late"}
    assert found["time"] == rows()["time"].cast(pa.int64()).to_pylist()
    return found


@pytest.mark.parametrize("source", ["in.parquet", "in.arrow", "in.stream", "in.csv"])
@pytest.mark.parametrize("output", ["out.parquet", "out.arrow", "out.csv"])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_format_and_number_of_workers_gives_the_same(
    source: str,
    output: str,
    workers: int,
    folder: Path,
    loaded: Bundle,
    wanted: dict[str, list[Any]],
    tmp_path: Path,
) -> None:
    task = Task(folder / source, tmp_path / output, Columns(NAMES), workers=workers)
    found = plain(scored(task, loaded))
    assert found == wanted
    assert [path.name for path in tmp_path.iterdir()] == [output]


def test_expected_values_and_a_table_without_machines(folder: Path, loaded: Bundle, tmp_path: Path) -> None:
    task = Task(folder / "few.parquet", tmp_path / "o.parquet", Columns(NAMES), with_expected=True, workers=2)
    found = plain(scored(task, loaded))
    assert set(found["machine_id"]) == {"machine"}
    assert all(len(found[f"expected_{name}"]) == 10 for name in NAMES)


@pytest.mark.parametrize("output", ["out.parquet", "out.arrow", "out.csv"])
def test_a_run_that_is_interrupted_again_and_again_ends_with_the_same(
    output: str, folder: Path, loaded: Bundle, wanted: dict[str, list[Any]], tmp_path: Path, monkeypatch: Any
) -> None:
    source = folder / ("in.csv" if output == "out.csv" else "in.arrow")
    monkeypatch.setattr("edge_runtime.text.csvblocks.READ_BYTES", 20_000)
    seen: list[int] = []
    write = Progress.add

    def interrupting(self: Progress, number: int) -> None:
        write(self, number)
        seen.append(number)
        if len(seen) % 2 == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Progress, "add", interrupting)
    resume = False
    for attempt in range(20):
        task = Task(source, tmp_path / output, Columns(NAMES), workers=1 + attempt % 2, resume=resume)
        try:
            found = plain(scored(task, loaded))
        except InterruptedRunError:
            assert not (tmp_path / output).exists()
            resume = True
        else:
            break
    assert resume
    assert found == wanted
    assert [path.name for path in tmp_path.iterdir()] == [output]


def test_what_a_killed_run_had_finished_is_gone_on_with(
    folder: Path, remembering: Path, loaded: Bundle, wanted: dict[str, list[Any]], tmp_path: Path
) -> None:
    program = (
        "import os, signal, sys\n"
        "from edge_runtime.scorefile import run\n"
        "run.PART_S = 0.0\n"
        "seen = []\n"
        "def add(self, rows):\n"
        "    seen.append(rows)\n"
        "    if len(seen) == 4: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run.Progress.add = add\n"
        "from edge_runtime.cli import main\n"
        "main()\n"
    )
    words = ["score", folder / "in.arrow", "-o", tmp_path / "out.arrow", "--bundle", remembering]
    done = subprocess.run([sys.executable, "-c", program, *map(str, words)], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    note = json.loads((tmp_path / ".out.arrow.parts" / "note.json").read_text())
    assert note["state"]["rows"] == 1500
    task = Task(folder / "in.arrow", tmp_path / "out.arrow", Columns(NAMES), resume=True)
    assert plain(scored(task, loaded)) == wanted


def test_ctrl_c_says_how_to_go_on(
    command: Command, folder: Path, remembering: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hundreds of thousands of rows: without coverage.
    for name in os.environ.keys() - unmeasured().keys():
        monkeypatch.delenv(name)
    big = tmp_path / "big.csv"
    head, *lines = (folder / "in.csv").read_text().splitlines(keepends=True)
    big.write_text(head + "".join(lines) * 100)
    script = Path(sys.executable).parent / "edge-detect"
    words = ["score", big, "-o", tmp_path / "o.csv", "--bundle", remembering]
    process = subprocess.Popen([script, *map(str, words)], stderr=subprocess.PIPE, cwd=tmp_path)
    part = tmp_path / ".o.csv.parts" / "part-0000"
    while process.poll() is None and not (part.exists() and part.stat().st_size):
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    assert b"interrupted after" in said
    assert b"--resume" in said
    other = command(
        "edge-detect", "score", big, "-o", "o.csv", "--bundle", remembering, "--resume", "--expected"
    )
    assert_one_clear_line(other, 2, "another options")
    done = command("edge-detect", "score", big, "-o", "o.csv", "--bundle", remembering, "--resume")
    assert done.returncode == 0, done.stderr
    assert b"300,000 rows read" in done.stderr
    with (tmp_path / "o.csv").open() as file:
        assert sum(1 for _ in file) == 300_001


def test_nothing_to_go_on_with_is_said(folder: Path, loaded: Bundle, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no unfinished run"):
        score_file(Task(folder / "in.csv", tmp_path / "o.csv", Columns(NAMES), resume=True), loaded)
    with pytest.raises(UsageError, match="cannot be resumed"):
        score_file(Task(Path("-"), tmp_path / "o.csv", Columns(NAMES), resume=True), loaded)


def damaged(folder: Path, kind: str) -> Path:
    table = rows().slice(0, 50)
    path = folder / "in.parquet"
    if kind == "cut off":
        parquet.write_table(table, path)
        path.write_bytes(path.read_bytes()[:-100])
        return path
    if kind == "flipped":
        parquet.write_table(table, path, compression="zstd")
        data = bytearray(path.read_bytes())
        data[200:400] = bytes(200)
        path.write_bytes(bytes(data))
        return path
    changes = {
        "no time": table.drop_columns(["time"]),
        "a null time": table.set_column(0, "time", pa.array([None] * 50, pa.timestamp("ns"))),
        "no sensor": table.drop_columns(["power"]),
        "text": table.set_column(2, NAMES[0], pa.array(["warm"] * 50)),
        "times that are none": table.set_column(0, "time", pa.array(["yesterday"] * 50)),
    }
    parquet.write_table(changes[kind], path)
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("cut off", ("in.parquet", "not a whole Parquet")),
        ("flipped", ("in.parquet", "not a whole Parquet")),
        ("no time", ("no column 'time'",)),
        ("a null time", ("line 1", "there is no time")),
        ("no sensor", ("no column 'power'",)),
        ("text", ("column 'temperature' is string, not a number",)),
        ("times that are none", ("line 1", "'yesterday' is not a time")),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(
    kind: str, words: tuple[str, ...], command: Command, remembering: Path, tmp_path: Path
) -> None:
    damaged(tmp_path, kind)
    done = command("edge-detect", "score", "in.parquet", "-o", "out.parquet", "--bundle", remembering)
    assert_one_clear_line(done, 1, *words)
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 2], pa.int16()),
        pa.array([1.0, 2.0], pa.float64()),
        pa.array([1.0, 2.0], pa.float32()).cast(pa.decimal128(5, 1)),
        pa.array([np.float16(1), np.float16(2)], pa.float16()),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "times",
    [
        pa.array([T0 // 10**9, T0 // 10**9 + 1], pa.timestamp("s")),
        pa.array([T0 // 1000, T0 // 1000 + 1], pa.timestamp("us", "Europe/Berlin")),
        pa.array([T0 // 10**9, T0 // 10**9 + 1]),
        pa.array(["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"]),
    ],
    ids=str,
)
def test_numbers_and_times_of_any_type_are_taken_and_times_kept(
    column: pa.Array, times: pa.Array, loaded: Bundle, tmp_path: Path
) -> None:
    table = pa.table({"time": times, "machine_id": ["m", None], **dict.fromkeys(NAMES, column)})
    parquet.write_table(table, tmp_path / "in.parquet")
    found = scored(Task(tmp_path / "in.parquet", tmp_path / "o.parquet", Columns(NAMES)), loaded)
    assert found["time"].to_pylist() == table["time"].to_pylist()
    assert found["machine_id"].to_pylist() == ["m", "machine"]
    assert found["verdict"].to_pylist() != ["unknown", "unknown"]


def test_without_the_extra_the_command_that_brings_it_is_named(
    command: Command, folder: Path, remembering: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "hidden" / "pyarrow").mkdir(parents=True)
    (tmp_path / "hidden" / "pyarrow" / "__init__.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "hidden"))
    done = command("edge-detect", "score", folder / "in.parquet", "-o", "o.csv", "--bundle", remembering)
    assert_one_clear_line(done, 2, "edge-detect[parquet]")


@pytest.mark.parametrize("output", ["out.csv", "out.parquet"])
def test_a_disk_that_is_full_is_one_clear_line(
    output: str, folder: Path, remembering: Path, tmp_path: Path
) -> None:
    script = Path(sys.executable).parent / "edge-detect"
    # A limit on a file's size stands in for the disk: 8 blocks of 1,024 bytes.
    line = f"ulimit -f 8; exec {script} score {folder / 'in.parquet'} -o {output} --bundle {remembering}"
    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=unmeasured(), capture_output=True, check=False, timeout=300
    )
    assert_one_clear_line(done, 2, output, "cannot write it")
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_to_and_not_replaced(folder: Path, loaded: Bundle, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE) as reader:
        score_file(Task(folder / "few.parquet", pipe, Columns(NAMES)), loaded)
        text, _ = reader.communicate(timeout=300)
    assert text.count(b"\n") == 11
    assert pipe.is_fifo()


def test_progress_says_how_far_how_fast_and_how_long() -> None:
    progress = Progress(1000, done=200)
    progress.add(300)
    assert progress.line(3.0) == "████████████░░░░░░░░░░░░  50%  500 rows, 100 a second, 5 s left"
    assert Progress(None).line(1.0) == "0 rows, 0 a second"


def test_a_parquet_may_have_its_times_in_two_columns(loaded: Bundle, tmp_path: Path) -> None:
    rows = 20
    columns: dict[str, list[object]] = {
        "Datum": ["31.01.2026"] * rows,
        "Uhrzeit": [f"09:00:{row:02}" for row in range(rows)],
    }
    columns |= {name: [1.0 + row for row in range(rows)] for name in NAMES}
    parquet.write_table(pa.table(columns), tmp_path / "in.parquet")
    form = Form(TimeForm(from_=("Datum", "Uhrzeit"), zone="Europe/Berlin"))
    task = Task(tmp_path / "in.parquet", tmp_path / "out.csv", Columns.of(NAMES, form))
    score_file(task, loaded)
    reader = ArrowReader(tmp_path / "in.parquet", "parquet", Columns.of(NAMES, form), 1)
    (block,) = reader.blocks(0)
    assert [format_time(int(moment)) for moment in block.readings.times] == [
        f"2026-01-31T08:00:{row:02}Z" for row in range(rows)
    ]
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("2026-01-31T08:00:00Z,machine,")
