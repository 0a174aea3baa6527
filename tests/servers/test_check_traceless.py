"""`edge-detect check` beside a service and after one: nothing is moved, locked or written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.checking import NAMES, check, influx_words, put, until
from support.running import running

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

    from edge_runtime.influxdb import InfluxClient

ROWS = 30
LAST_30_S = [-i - 0.5 for i in reversed(range(ROWS))]
CSV = "time,machine_id,temperature,vibration,pressure,power\n" + "".join(
    f"2026-01-01T00:00:{i:02}Z,m1,55,1.2,50,235\n" for i in range(30)
)


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Name, bytes and time of change of each."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def apart_from_shared(found: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int] | None]:
    """What SQLite's processes share while they run is theirs to change."""
    return {name: None if name.endswith("-shm") else what for name, what in found.items()}


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


class Service:
    """`edge-detect run` over a database, with its state and its output in the test's folder."""

    def __init__(self, client: InfluxClient, bundle: Path, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.words = (*influx_words(client, bundle), "--start=-1h", "--poll", 0.2)
        self.words += ("--sink", "jsonl", "--output", folder / "out.jsonl")
        self.state = folder / "state"
        self.run = ("edge-detect", "run", *self.words)

    def delivered(self) -> int:
        return lines(self.folder / "out.jsonl")

    def files(self) -> dict[str, tuple[bytes, int]]:
        """When it has nothing more to do."""
        before = files(self.folder)

        def settled() -> bool:
            nonlocal before
            earlier, before = before, files(self.folder)
            return before == earlier

        until(settled)
        return before


@pytest.fixture
def service(database: InfluxClient, bundle: Path, tmp_path: Path) -> Service:
    put(database, "m1", LAST_30_S)
    return Service(database, bundle, tmp_path)


def test_a_service_that_runs_is_not_disturbed(command: Command, service: Service) -> None:
    with running(service.state, *service.run) as running_one:
        until(lambda: service.delivered() == ROWS)
        ledger = next((service.state / "edge-detect").glob("*.sqlite"))
        until(lambda: b"m1" in ledger.with_name(f"{ledger.name}-wal").read_bytes())
        before = service.files()
        found = check(command, *service.words, seconds=1)
        assert found.wrong == []
        assert found.machines["m1"]["rows"] == ROWS  # whatever the service's checkpoint
        assert found.fact("ledger") == f"{ledger}: 1 machine known, no row waits"
        assert apart_from_shared(service.files()) == apart_from_shared(before)
        put(service.client, "m1", [float(i) / 10 for i in range(5)])
        until(lambda: service.delivered() == ROWS + 5)
        assert running_one.stop() == 0
    times = [json.loads(line)["time"] for line in (service.folder / "out.jsonl").read_text().splitlines()]
    assert len(set(times)) == ROWS + 5


def test_a_service_that_is_stopped_goes_on_where_it_was(command: Command, service: Service) -> None:
    assert command(*service.run, "--rows", ROWS).returncode == 0
    assert service.delivered() == ROWS
    before = files(service.folder)
    assert sum(name.endswith(".sqlite") for name in before) == 2  # the ledger and its history
    put(service.client, "m1", [0.0, 0.1, 0.2])
    found = check(command, *service.words)
    assert found.wrong == []
    assert found.fact("ledger").endswith(": 1 machine known, no row waits")
    assert found.machines["m1"]["rows"] == ROWS + 3
    assert files(service.folder) == before
    assert command(*service.run, "--rows", 3).returncode == 0
    assert service.delivered() == ROWS + 3


def test_a_service_that_was_killed_leaves_a_ledger_that_can_be_read(
    command: Command, service: Service
) -> None:
    with running(service.state, *service.run) as running_one:
        until(lambda: service.delivered() == ROWS)
        running_one.process.kill()
        running_one.process.wait()
    before = files(service.folder)
    assert any(name.endswith("-wal") and content for name, (content, _) in before.items())
    found = check(command, *service.words)
    assert ": 1 machine known, " in found.fact("ledger")
    assert files(service.folder) == before


def test_a_service_starts_while_a_check_reads(command: Command, service: Service) -> None:
    assert command(*service.run, "--rows", 10).returncode == 0
    with running(service.state, "edge-detect", "check", *service.words, "--seconds", 600) as checking:
        while checking.prints().split()[:2] != ["newest", "row"]:
            assert checking.process.poll() is None
        done = command(*service.run, "--rows", ROWS - 10)
        assert done.returncode == 0, done.stderr
        assert checking.process.poll() is None
    assert service.delivered() == ROWS


def test_an_unseen_bundle_is_tried_and_not_remembered(command: Command, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(CSV)
    before = files(tmp_path)
    words = ("--bundle", bundle, "--source", "csv", "--input", "in.csv", "--sink", "jsonl", "--output", "o")
    for _ in range(2):
        found = check(command, *words)
        assert (found.wrong, found.rows["read"]) == ([], 30)
        assert found.fact("sink") == "jsonl: takes rows"
        assert files(tmp_path) == before
        assert not (tmp_path / "state").exists()
    assert command("edge-detect", "run", *words).returncode == 0
    made = {path.parent.name for path in (tmp_path / "state").rglob("*") if path.is_file()}
    assert "proved" in made  # which `run` does


@pytest.mark.parametrize(
    ("sink", "wrong"),
    [
        (("jsonl", "--output", "nowhere/out.jsonl"), "jsonl: nowhere/out.jsonl: cannot write it"),
        (("jsonl", "--output", "."), "jsonl: .: cannot write it"),
        (("influx", "--sink-database", "nosuch"), "influx: "),
        (("stdout",), None),
        (("influx",), None),
    ],
)
def test_a_sink_that_takes_nothing_is_wrong(
    command: Command,
    database: InfluxClient,
    bundle: Path,
    tmp_path: Path,
    sink: tuple[str, ...],
    wrong: str | None,
) -> None:
    put(database, "m1", LAST_30_S)
    found = check(command, *influx_words(database, bundle), "--sink", *sink)
    if wrong is None:
        takes = {"stdout": "rows", "influx": "rows and alarms"}[sink[0]]
        assert found.wrong == []
        assert found.fact("sink") == f"{sink[0]}: takes {takes}"
    else:
        text = found.only_wrong("sink")
        assert text.startswith(wrong)
        assert "nosuch" not in sink or "database not found" in text
    assert files(tmp_path) == {}


class TestOtherSources:
    def test_a_file(self, command: Command, bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "in.csv").write_text(CSV)
        found = check(command, "--bundle", bundle, "--source", "csv", "--input", "in.csv")
        assert (found.code, found.wrong) == (0, [])
        assert found.machines["m1"]["verdicts"] == {"normal": 30}
        assert found.machines["m1"]["seconds_between_rows"] == 1
        assert found.first[0]["time"] == "2026-01-01T00:00:00Z"

    def test_standard_input(self, command: Command, bundle: Path) -> None:
        words = ("--bundle", bundle, "--source", "stdin")
        found = check(command, *words, stdin=CSV.encode())
        assert (found.wrong, found.rows["read"]) == ([], 30)
        assert "it is empty" in check(command, *words).only_wrong("source")
        other = CSV.replace("power", "load").encode()
        assert "power" in check(command, *words, stdin=other).only_wrong("source")

    def test_the_simulation(self, command: Command) -> None:
        found = check(command, "--source", "simulate", "--speed", 0, seconds=1)
        assert found.wrong == []
        assert list(found.machines) == ["machine-1", "machine-2", "machine-3"]
        assert found.rows["read"] >= 5000
        assert set(found.first[0]) >= {"sensor", "actual", "expected"}

    @pytest.mark.parametrize(
        ("words", "code", "named"),
        [
            (("--source", "csv", "--input", "in.csv"), 2, "the source csv needs a bundle"),
            (("--nonsense",), 2, "--nonsense"),
            (("--seconds", "0"), 2, "--seconds"),
            (("--source", "nonsense"), 2, "there is no source 'nonsense'"),
            (("--bundle", "no.onnx", "--source", "simulate"), 2, "no.onnx"),
            (("--bundle", "bad.onnx", "--source", "simulate"), 1, "bad.onnx"),
        ],
    )
    def test_what_cannot_be_looked_at(
        self, command: Command, tmp_path: Path, words: tuple[str, ...], code: int, named: str
    ) -> None:
        (tmp_path / "bad.onnx").write_bytes(b"no bundle")
        done = command("edge-detect", "check", *words)
        assert (done.returncode, done.stdout) == (code, b"")
        assert named in done.stderr.decode()
        assert b"Traceback" not in done.stderr

    def test_the_rows_of_a_file_without_a_sensor(
        self, command: Command, bundle: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "in.csv").write_text(CSV.replace(",235\n", ",\n"))
        found = check(command, "--bundle", bundle, "--source", "csv", "--input", "in.csv")
        assert found.wrong == [
            ("unknown", "30 of 30 rows: missing"),
            ("sensors", f"{NAMES[3]} did not come in any row"),
        ]
        assert found.first[0]["reason"] == "missing"
