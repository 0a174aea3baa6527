"""A real InfluxDB in other people's shapes: several series a machine, changing types, other tags, nothing."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.commands import assert_one_clear_line
from support.reading import read_all
from support.running import running
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, SourceError, SourceUnavailableError, UsageError
from edge_runtime.influxdb import InfluxClient, ReadingsQuery, check_readings, open_reader, write
from trainer.cli import app

if TYPE_CHECKING:
    from pathlib import Path

    from support.commands import Command

    from edge_runtime.influxdb.rows import Rows

T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
SENSORS = ("temperature", "vibration", "pressure", "power")
WANTED = ReadingsQuery(SENSORS)
NORMAL = "vibration=1.2,pressure=50.1,power=235"


def put(client: InfluxClient, *lines: str) -> None:
    write(client, "".join(f"{line}\n" for line in lines).encode())


def check(client: InfluxClient, wanted: ReadingsQuery = WANTED) -> ReadingsQuery:
    return check_readings(open_reader(client), wanted, T0 - DAY, T0 + 30 * DAY)


def rows_of(client: InfluxClient, wanted: ReadingsQuery = WANTED) -> list[Rows]:
    return list(open_reader(client).rows(wanted, T0 - DAY, T0 + 30 * DAY))


def total(found: list[Rows], name: str) -> int:
    return sum(int(getattr(rows, name).sum()) for rows in found if getattr(rows, name) is not None)


def two_hosts(client: InfluxClient, *, machine: str = "press-1", b: float = 60.5) -> None:
    """Two collectors write the same machine; their temperatures differ."""
    for second in range(10):
        for host, value in (("b", b), ("a", 55.5)):
            tags = f"machine_id={machine},host={host}"
            put(client, f"sensors,{tags} temperature={value},{NORMAL} {T0 + second * SECOND}")


def text_in_one_machine(client: InfluxClient) -> int:
    """Twenty rows of press-1, and in another shard as many of press-2 with a text; gives when those begin."""
    later = T0 + 8 * DAY
    for machine, first, value in (("press-1", T0, "55.5"), ("press-2", later, '"n/a"')):
        tags = f"machine_id={machine}"
        put(client, *(f"sensors,{tags} temperature={value},{NORMAL} {first + i * SECOND}" for i in range(20)))
    return later


class TestSeries:
    def test_fields_of_one_time_that_complete_each_other_are_one_row(self, database: InfluxClient) -> None:
        # As a collector of OPC UA writes: each node with a tag of its own.
        values = dict(zip(SENSORS, (55.5, 1.1, 47.0, 250.0), strict=True))
        for second in range(20):
            for sensor, value in values.items():
                put(
                    database,
                    f'sensors,machine_id=press-1,id=ns\\=3;s\\="{sensor}",quality=OK {sensor}={value} '
                    f"{T0 + second * SECOND}",
                )
        wanted = check(database)
        assert wanted.other_tags == ("id", "quality")
        found = rows_of(database, wanted)
        values_read = np.concatenate([rows.readings.values for rows in found])
        np.testing.assert_array_equal(values_read, np.array([list(values.values())] * 20, np.float32))
        assert total(found, "conflicts") == 0

    def test_series_that_contradict_each_other_are_an_error_at_the_start(
        self, database: InfluxClient
    ) -> None:
        two_hosts(database)
        with pytest.raises(
            SourceError,
            match=r"machine 'press-1' have different values at 2026-01-01T00:00:\d\dZ \(temperature 55.5 and "
            r"60.5\); they differ in the tag 'host'",
        ):
            check(database)
        assert check(database, dataclasses.replace(WANTED, machine_tag="host")).other_tags == ("machine_id",)

    def test_series_that_agree_are_read_as_one(self, database: InfluxClient) -> None:
        two_hosts(database, b=55.5)
        found = rows_of(database, check(database))
        assert sum(map(len, found)) == 10
        assert total(found, "conflicts") == 0

    def test_of_series_that_contradict_each_other_the_first_by_its_tags_stays(
        self, database: InfluxClient
    ) -> None:
        two_hosts(database)
        found = rows_of(database, dataclasses.replace(WANTED, other_tags=("host",)))
        temperatures = np.concatenate([rows.readings.values[:, 0] for rows in found])
        assert temperatures.tolist() == [55.5] * 10
        assert total(found, "conflicts") == 10


class TestTypes:
    def test_numbers_of_two_types_are_numbers(self, database: InfluxClient) -> None:
        later = T0 + 8 * DAY  # a shard of its own, where the field may have another type
        put(
            database,
            *(f"sensors,machine_id=m temperature=50.5,{NORMAL} {T0 + i * SECOND}" for i in range(20)),
        )
        put(
            database,
            *(f"sensors,machine_id=m temperature=50i,{NORMAL} {later + i * SECOND}" for i in range(20)),
        )
        rows = read_all(database, check(database), T0, later + DAY)
        assert rows.values[:, 0].tolist() == [50.5] * 20 + [50.0] * 20

    def test_text_in_one_machine_costs_its_readings_alone(self, database: InfluxClient) -> None:
        text_in_one_machine(database)
        found = rows_of(database, check(database))
        values = np.concatenate([rows.readings.values for rows in found])
        assert values[:20, 0].tolist() == [55.5] * 20
        assert np.isnan(values[20:, 0]).all()
        assert np.isfinite(values[:, 1:]).all()
        assert total(found, "unreadable") == 20


class TestMachines:
    def test_a_tag_that_is_not_there_is_an_error_that_names_those_that_are(
        self, database: InfluxClient
    ) -> None:
        put(
            database,
            *(
                f"sensors,host=press-{m},line=1 temperature={m},{NORMAL} {T0 + s}"
                for m in (1, 2, 3)
                for s in range(9)
            ),
        )
        with pytest.raises(
            SourceError, match="no tag 'machine_id' with the machine's id; there are: host, line; or =NAME"
        ):
            check(database)
        with pytest.raises(SourceError, match="'power' is a field, not a tag"):
            check(database, dataclasses.replace(WANTED, machine_tag="power"))
        rows = read_all(
            database, check(database, dataclasses.replace(WANTED, machine_tag="host")), T0, T0 + DAY
        )
        assert sorted(rows.machines.tolist()) == [f"press-{m}" for m in (1, 2, 3) for _ in range(9)]

    def test_rows_of_one_machine_need_no_tag(self, database: InfluxClient) -> None:
        put(database, *(f"sensors temperature=50,{NORMAL} {T0 + s}" for s in range(9)))
        assert set(read_all(database, check(database), T0, T0 + DAY).machines.tolist()) == {"machine"}
        put(database, *(f"sensors,site=x temperature=50,{NORMAL} {T0 + 10 + s}" for s in range(9)))
        single = dataclasses.replace(WANTED, machine_tag="=press-9")
        assert set(read_all(database, check(database, single), T0, T0 + DAY).machines.tolist()) == {"press-9"}
        for wrong in ({"machine_tag": "="}, {"machine_tag": "=m", "machines": ("m",)}):
            with pytest.raises(UsageError):
                dataclasses.replace(WANTED, **wrong)

    def test_machines_that_are_not_there_are_named_with_those_that_are(self, database: InfluxClient) -> None:
        put(database, *(f"sensors,machine_id=press-{m} temperature=50,{NORMAL} {T0}" for m in range(30)))
        check(database, dataclasses.replace(WANTED, machines=("press-1", "press-29")))
        with pytest.raises(
            SourceError, match=r"no machine 'nosuch' .*; there are: press-0, press-1, .* and 10 more"
        ):
            check(database, dataclasses.replace(WANTED, machines=("press-1", "nosuch")))

    @pytest.mark.parametrize("name", ['q"q', "a/b", "a.b", 'x"/^$', "a\\b"])
    def test_a_name_chooses_that_machine_alone(self, database: InfluxClient, name: str) -> None:
        others = ("qq", "axb", 'y"/^$', "q")
        escaped = [n.replace(" ", "\\ ") for n in (name, *others)]
        put(database, *(f"sensors,machine_id={n} temperature=50,{NORMAL} {T0}" for n in escaped))
        rows = read_all(database, dataclasses.replace(WANTED, machines=(name,)), T0, T0 + 1)
        assert rows.machines.tolist() == [name]

    def test_two_thousand_machines_come_in_the_order_of_time(self, database: InfluxClient) -> None:
        names = tuple(f"hall-{i % 7}/press-{i:04}" for i in range(2000))
        put(
            database,
            *(f"sensors,machine_id={n} temperature={i},{NORMAL} {T0 + i}" for i, n in enumerate(names)),
        )
        rows = read_all(database, dataclasses.replace(WANTED, machines=names[1:]), T0, T0 + DAY)
        assert rows.times.tolist() == [T0 + i for i in range(1, 2000)]
        assert rows.machines.tolist() == list(names[1:])


class TestHistory:
    """`edge-train prepare` out of such databases."""

    def prepare(self, client: InfluxClient, folder: Path, *more: str) -> str:
        where = ("--url", client.settings.url, "--database", client.settings.database)
        words = ["prepare", *where, "--start", "2026-01-01", "--stop", "2026-02-01", "-o", str(folder), *more]
        result = CliRunner().invoke(app, words)
        if isinstance(result.exception, EdgeDetectError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    def fill(self, client: InfluxClient, *, contradictions: int) -> None:
        put(
            client,
            *(f"sensors,machine_id=m,host=a temperature=50,{NORMAL} {T0 + i * SECOND}" for i in range(1000)),
            *(
                f"sensors,machine_id=m,host=b temperature=60,{NORMAL} {T0 + i * SECOND}"
                for i in range(contradictions)
            ),
        )

    def test_a_few_contradictions_are_left_out_and_said(self, database: InfluxClient, tmp_path: Path) -> None:
        self.fill(database, contradictions=5)
        said = self.prepare(database, tmp_path / "out", "--gap", "0")
        assert "5 of 1,005 rows of machine 'm' contradict another one of their time and were left out" in said
        metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
        assert metadata["rows"] == 1000
        assert metadata["query"]["conflicting_rows"] == 5

    def test_many_are_no_history(self, database: InfluxClient, tmp_path: Path) -> None:
        self.fill(database, contradictions=100)
        with pytest.raises(
            EdgeDetectError,
            match=r"100 of 1,100 rows of machine 'm' contradict another one of their time, first at "
            r"2026-01-01T00:00:00Z \(temperature 50 and 60\); they differ in the tag 'host' \(a, b\)",
        ):
            self.prepare(database, tmp_path / "out", "--gap", "0")
        assert not (tmp_path / "out").exists()

    def test_a_sensor_that_was_text_for_a_while_stays_a_sensor(
        self, database: InfluxClient, tmp_path: Path
    ) -> None:
        later = T0 + 8 * DAY
        put(database, *(f"sensors,machine_id=m a={i},b=1 {T0 + i * SECOND}" for i in range(100)))
        put(database, *(f'sensors,machine_id=m a="n/a",b=1 {later + i * SECOND}' for i in range(100)))
        put(database, *(f"sensors,machine_id=m a=1,b=1 {T0 + 16 * DAY + i * SECOND}" for i in range(100)))
        said = self.prepare(database, tmp_path / "out", "--gap", "0", "--split", "30/40/30")
        assert "100 values of 'a' are not numbers and were treated as missing" in said
        metadata = json.loads((tmp_path / "out" / "metadata.json").read_text())
        assert [sensor["name"] for sensor in metadata["sensors"]] == ["a", "b"]
        assert metadata["query"]["unreadable_readings"] == {"a": 100}

    def test_without_a_field_of_numbers_the_fields_are_named(
        self, database: InfluxClient, tmp_path: Path
    ) -> None:
        put(database, f'sensors,machine_id=m note="x",on=true {T0}')
        with pytest.raises(
            SourceError, match=r"no field holds numbers; there are: note .string., on .boolean."
        ):
            self.prepare(database, tmp_path / "out")

    def test_a_name_that_is_a_tags_and_a_fields(self, database: InfluxClient, tmp_path: Path) -> None:
        put(
            database,
            *(
                f"sensors,machine_id=m,a={t} a={i},b=1 {T0 + i * SECOND}"
                for i in range(100)
                for t in ("x", "y")
            ),
        )
        said = self.prepare(database, tmp_path / "out", "--gap", "0")
        assert "100 rows" in said
        with pytest.raises(SourceError, match="'a' is both a tag and a field"):
            self.prepare(database, tmp_path / "out", "--machine-tag", "a")


class TestCommand:
    """`edge-detect run` over such databases."""

    def words(self, client: InfluxClient, bundle: Path, *more: object) -> list[object]:
        where = ("--url", client.settings.url, "--database", client.settings.database)
        return [
            "edge-detect",
            "run",
            "--bundle",
            bundle,
            "--source",
            "influx",
            *where,
            "--start",
            "2026-01-01",
            *more,
        ]

    def run(
        self, command: Command, client: InfluxClient, bundle: Path, *more: object
    ) -> tuple[list[dict[str, Any]], str]:
        done = command(*self.words(client, bundle, "--until", "2026-02-01", *more))
        assert done.returncode == 0, done.stderr.decode()
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode()

    def test_text_is_told_once_and_counted_and_the_others_go_on(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        later = text_in_one_machine(database)
        put(database, *(f"sensors,machine_id=press-1 {NORMAL} {later + i * SECOND}" for i in range(5)))
        lines, said = self.run(command, database, bundle)
        assert [line["verdict"] for line in lines if line["machine_id"] == "press-1"][:20] == ["normal"] * 20
        unknown = [line for line in lines if line["machine_id"] == "press-2"]
        assert [line["reason"] for line in unknown] == ["missing"] * 20
        assert said.count("press-2: temperature has values that are no numbers") == 1
        assert "readings that were not numbers, treated as missing: 20" in said
        assert "do not balance" not in said

    def test_a_contradiction_that_begins_while_running_is_told_and_counted(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        two_hosts(database)
        # By the time of the start they agree again.
        put(
            database,
            *(
                f"sensors,machine_id=press-1,host=a temperature=55.5,{NORMAL} {T0 + DAY + i}"
                for i in range(3)
            ),
        )
        lines, said = self.run(command, database, bundle)
        assert len(lines) == 13
        assert "23 rows read" in said
        assert "skipped, conflicting: 10" in said
        assert said.count("press-1: two series disagree about one time") == 1

    def test_what_matches_nothing_is_one_line_that_names_what_is_there(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        put(database, *(f"sensors,host=press-{m} temperature=50,{NORMAL} {T0}" for m in (1, 2, 3)))
        done = command(*self.words(database, bundle))
        assert_one_clear_line(done, 1, "there is no tag 'machine_id'", "there are: host")
        done = command(*self.words(database, bundle, "--machine-tag", "host", "--machine", "nosuch"))
        assert_one_clear_line(done, 1, "no machine 'nosuch'", "there are: press-1, press-2, press-3")

    def test_an_empty_database_is_waited_for(
        self, database: InfluxClient, bundle: Path, tmp_path: Path
    ) -> None:
        with pytest.raises(SourceUnavailableError, match="no measurements yet"):
            check(database)
        with running(tmp_path, *self.words(database, bundle)) as run:
            said = run.says()
            assert "there are no measurements yet" in said
            assert "trying again" in said
            put(database, f"sensors,machine_id=press-1 temperature=55.5,{NORMAL} {T0}")
            line = json.loads(run.prints())
            assert (line["machine_id"], line["verdict"]) == ("press-1", "normal")
            assert run.stop() == 0
