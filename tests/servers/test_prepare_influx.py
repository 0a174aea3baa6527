"""`edge-train prepare` out of an InfluxDB: all that is read is counted, and nothing is lost without a word.

Each test reads a real 1.x as a database, once more as the bucket of 2.x that is mapped to it, and by Flux a
bucket that has no mapping.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.answering import answering
from support.flux2 import Flux2, serving_flux
from support.mapped import TOKEN, mapped_bucket
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError, SourceUnavailableError
from edge_runtime.influxdb import InfluxClient, InfluxSettings, open_reader, query, write
from edge_runtime.influxdb.settings import TOKEN_VARIABLE
from trainer.cli import app
from trainer.data.tables import read_table
from trainer.prepare.influx_events import find_events

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
RANGE = ("--start", "2026-01-01", "--stop", "2026-02-01", "--gap", "0")


def rows(tags: str, fields: str, number: int = 100, *, first: int = T0, step: int = SECOND) -> list[str]:
    """Rows of one series; `{i}` in the fields is the row's number."""
    series = ",".join(["sensors", *tags.split()])
    return [f"{series} {fields.replace('{i}', str(i))} {first + i * step}" for i in range(number)]


UNLABELLED = "edge-train: the tables are unlabelled: they have no column 'anomaly'\n"


class Plant:
    """What holds the points, and the options that name it."""

    def __init__(self, held: InfluxClient | Flux2, where: tuple[str, ...], folder: Path) -> None:
        self.held = held
        self.where = where
        self.folder = folder
        self.range: tuple[str, ...] = RANGE

    def put(self, *lines: str, policy: str | None = None) -> None:
        """Writes points, to a retention policy of 1.x or the default one."""
        if isinstance(self.held, Flux2):
            self.held.put(*lines)
            return
        client = InfluxClient(replace(self.held.settings, retention_policy=policy))
        write(client, "".join(f"{line}\n" for line in lines).encode())

    def make_policy(self, name: str) -> None:
        """A retention policy of 1.x that keeps all."""
        assert isinstance(self.held, InfluxClient)
        place = f'"{name}" ON "{self.held.settings.database}"'
        assert not list(query(self.held, f"CREATE RETENTION POLICY {place} DURATION 0s REPLICATION 1"))

    def prepare(self, *more: str) -> tuple[str, str]:
        """What the command says on standard output and on standard error; its error is raised."""
        result = CliRunner().invoke(
            app, ["prepare", *self.where, *self.range, "-o", str(self.folder / "out"), *more]
        )
        if isinstance(result.exception, EdgeDetectError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout, result.stderr

    def refused(self, match: str, *more: str) -> str:
        """The command's error; nothing is written."""
        with pytest.raises(EdgeDetectError, match=match) as caught:
            self.prepare(*more)
        assert not (self.folder / "out").exists()
        return str(caught.value)

    @property
    def metadata(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "out" / "metadata.json").read_text())
        return found

    @property
    def account(self) -> dict[str, Any]:
        found: dict[str, Any] = self.metadata["query"]["account"]
        # Every row that was read is in a split, between two, or with the reason that it is not.
        kept = self.metadata["rows"] + self.metadata["rows_left_out_between_splits"]
        assert found["taken"] == kept + self.metadata["duplicates_dropped"]
        for one in (found, *found["machines"].values()):
            assert one["read"] == sum(one[name] for name in ("taken", "merged", "repeated", "conflicting"))
        return found


@pytest.fixture(params=["database", "mapped bucket", "bucket by Flux"])
def plant(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plant]:
    if request.param == "bucket by Flux":
        held = Flux2()
        with serving_flux(held) as where:
            yield Plant(held, where, tmp_path)
        return
    database = request.getfixturevalue("database")
    if request.param == "database":
        yield Plant(
            database, ("--url", database.settings.url, "--database", database.settings.database), tmp_path
        )
        return
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    with mapped_bucket(database) as where:
        yield Plant(database, where, tmp_path)


@pytest.fixture
def real(database: InfluxClient, tmp_path: Path) -> Plant:
    """The database alone."""
    return Plant(
        database, ("--url", database.settings.url, "--database", database.settings.database), tmp_path
    )


class TestSeries:
    def test_every_row_that_was_read_is_counted(self, plant: Plant) -> None:
        plant.put(
            *rows("machine_id=m1 host=a", "a={i},b=1", 1000),
            *rows("machine_id=m1 host=b", "a={i}", 300),
            *rows("machine_id=m1 host=c", "c=5", 200),
            *rows("machine_id=m1 host=d", "a=-1", 7, first=T0 + 500 * SECOND),
            *rows("machine_id=m2", "a={i},b=1,c=2", 50),
        )
        said, complained = plant.prepare()
        assert (
            "read 1,557 rows of the database: 1,050 taken, 200 merged into another one of their time, 300 "
            "repeated, 7 conflicting\n" in said
        )
        account = plant.account
        assert {name: account["machines"]["m1"][name] for name in ("read", "taken", "merged")} == {
            "read": 1507,
            "taken": 1000,
            "merged": 200,
        }
        assert account["machines"]["m1"]["missing"] == {"c": 800}
        assert account["machines"]["m1"]["complete"] == 200
        assert account["machines"]["m2"] == {
            **dict.fromkeys(("read", "taken", "complete"), 50),
            **dict.fromkeys(("merged", "repeated", "conflicting"), 0),
            "missing": {},
            "unreadable": {},
        }
        assert "most rows lack 'c' and are not trained: m1 (800 of 1,000 rows)\n" in complained
        assert "7 of 1,507 rows of machine 'm1' contradict another one of their time" in complained
        assert "2026-01-01T00:08:20Z (a 500 and -1); they differ in the tag 'host' (a, d)" in complained

    def test_one_machine_that_contradicts_itself_is_not_hidden_by_the_others(self, plant: Plant) -> None:
        plant.put(
            *rows("machine_id=good host=a", "a=1", 5000),
            *rows("machine_id=torn host=a", "a=1", 40),
            *rows("machine_id=torn host=b", "a=2", 40),
        )
        plant.refused(r"40 of 80 rows of machine 'torn' contradict .*they differ in the tag 'host' \(a, b\)")

    def test_a_row_a_sensor_is_refused_and_the_tag_named(self, plant: Plant) -> None:
        for sensor, value in (("flow", 12.5), ("power", 250), ("temperature", 50)):
            plant.put(*rows(f"machine_id=m sensor={sensor}", f"value={value}"))
        plant.refused(
            r"two series of machine 'm' have different values at .* \(value 12.5 and 250 and 50\); they "
            r"differ in the tag 'sensor' \(flow, power, temperature\).* write each of them as a field"
        )

    def test_so_it_is_where_the_machine_stood_still_at_the_end(self, plant: Plant) -> None:
        for sensor, value in (("flow", 12.5), ("power", 250)):
            plant.put(*rows(f"machine_id=m sensor={sensor}", f"value={value}", 300))
            plant.put(
                *rows(f"machine_id=m sensor={sensor}", "value=0", 300, first=T0 + 300 * SECOND),
            )
        plant.refused(
            r"300 of 1,200 rows of machine 'm' contradict .*\(value 12.5 and 250\); .*'sensor' \(flow, "
            r"power\)"
        )

    @pytest.mark.parametrize("step", [SECOND, 600 * SECOND])
    def test_a_row_a_sensor_each_at_its_own_time_is_said(self, plant: Plant, step: int) -> None:
        for place, (sensor, value) in enumerate((("flow", 12.5), ("power", 250))):
            tags, first = f"machine_id=m sensor={sensor}", T0 + place * step // 2
            plant.put(*rows(tags, f"value={value}", first=first, step=step))
        _, complained = plant.prepare()
        assert "several series of machine 'm' bring 'value' in turn" in complained
        assert "they differ in the tag 'sensor' (flow, power)" in complained

    def test_a_contradiction_after_series_that_alternate_is_still_refused(self, plant: Plant) -> None:
        for host, first in (("a", T0), ("b", T0 + 5_000_000)):
            plant.put(*rows(f"machine_id=m host={host}", "a={i}", 6000, first=first, step=10_000_000))
        plant.put(*rows("machine_id=m host=b", "a=-1", 1, first=T0 + 59_990_000_000))
        plant.refused("two series of machine 'm' have different values at 2026-01-01T00:00:59.99")

    def test_a_host_that_takes_over_from_another_is_no_matter(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m host=a", "a={i}", 50))
        plant.put(*rows("machine_id=m host=b", "a={i}", 50, first=T0 + 50 * SECOND))
        _, complained = plant.prepare()
        assert complained == UNLABELLED
        assert plant.account["taken"] == 100
        assert plant.metadata["query"].get("bucket") == ("line 1" if "--bucket" in plant.where else None)


class TestWhatIsLacking:
    def test_a_machine_without_a_sensor_is_named_with_it_and_its_rows(self, plant: Plant) -> None:
        plant.put(
            *rows("machine_id=m1", "a={i},b=1"),
            *rows("machine_id=m2", "a={i}", 60),
            *rows("machine_id=m3", "a={i}", 40, step=2 * SECOND),
            *rows("machine_id=m4", "a={i}", 30),
            *rows("machine_id=m4", "b={i}", 30, first=T0 + SECOND // 2),
        )
        _, complained = plant.prepare()
        assert "there is no reading of 'b' from m2 (60 rows), m3 (40 rows): " in complained
        assert "no row has a reading of every sensor from m4 (60 rows): " in complained
        untrained = "m2 (60 rows), m3 (40 rows), m4 (60 rows)\n"
        assert (
            f"not trained, as they have no complete and normal row in the training split: {untrained}"
            in complained
        )
        assert "m1" not in complained
        assert plant.metadata["rows_of_machines_not_trained"] == {"m2": 60, "m3": 40, "m4": 60}
        assert plant.account["machines"]["m2"]["missing"] == {"b": 60}

    def test_fields_that_are_left_out_are_named(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m", 'a={i},b=1,note="x",on=true,anomaly=0i'))
        plant.put(*rows("machine_id=m", "old=1", 5, first=T0 - 40 * DAY))
        _, complained = plant.prepare()
        if isinstance(plant.held, Flux2):  # which tells no types of fields
            assert "fields that hold no numbers in the range were left out: note, old, on\n" in complained
        else:
            of_types = "note (string), on (boolean)"
            assert f"fields that hold no numbers in the range were left out: {of_types}\n" in complained
            assert "fields without a reading in the range were left out: old\n" in complained
        assert "left out, as their names are those of labels: anomaly; they label no row" in complained
        assert [sensor["name"] for sensor in plant.metadata["sensors"]] == ["a", "b"]
        plant.prepare("--sensor", "a")

    def test_a_chosen_sensor_without_a_reading_in_the_range_is_refused(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m", "a={i}"))
        plant.put(*rows("machine_id=m", "old=1", 5, first=T0 - 40 * DAY))
        plant.refused("no row has a reading of old from 2026-01-01", "--sensor", "a", "--sensor", "old")

    def test_a_chosen_machine_without_a_row_in_the_range_is_said(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m1", "a={i}"))
        plant.put(*rows("machine_id=m2", "a={i}", 5, first=T0 - 40 * DAY))
        _, complained = plant.prepare("--machine", "m1", "--machine", "m2")
        assert complained == "edge-train: there is no row in the range of m2: not trained\n" + UNLABELLED

    def test_whole_numbers_and_floats_of_one_field_are_all_read(self, plant: Plant) -> None:
        edge = T0 + 4 * DAY  # a Monday, where one shard ends: in the next a field may have another type
        plant.put(*rows("machine_id=m1", "a={i}.5,b=1", 40, first=edge - 40 * SECOND))
        plant.put(*rows("machine_id=m1", "a={i}i,b=1", 40, first=edge))
        plant.put(*rows("machine_id=m2", "a={i}i,b=1", 40, first=edge))
        plant.put(f'events,machine_id=m2 kind="SPIKE",stop={edge + 3 * SECOND}i {edge}')
        _, complained = plant.prepare("--start", "2026-01-04T23:30:00Z", "--split", "50/25/25")
        assert complained == (
            "edge-train: not trained, as they have no complete and normal row in the training split: m2 (40 "
            "rows)\n"
        )
        account = plant.account["machines"]
        assert [(account[m]["read"], account[m]["complete"]) for m in ("m1", "m2")] == [(80, 80), (40, 40)]
        assert read_table(plant.folder / "out" / "train.csv")["a"].tolist() == [i + 0.5 for i in range(40)]
        frame = read_table(plant.folder / "out" / "val.csv")
        assert frame["a"].tolist() == [i for i in range(20) for _ in range(2)]
        assert frame["anomaly"].tolist() == [0, 1] * 3 + [0, 0] * 17

    def test_a_sensor_that_is_text_in_the_whole_range_is_refused(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m", "a={i},b=1", 5, first=T0 - 40 * DAY))
        plant.put(*rows("machine_id=m", 'a={i},b="off"'))
        chosen = ("--sensor", "a", "--sensor", "b")
        plant.refused("no row has a number for b; choose .*--sensor; there are numbers for a$", *chosen)
        plant.prepare(*chosen[:2])

    def test_text_costs_its_readings_alone(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m1", "a={i},b=1"))
        plant.put(*rows("machine_id=m2", 'a="n/a",b=1', 20, first=T0 + 8 * DAY))
        plant.put(*rows("machine_id=m1", "a={i}i,b=1", 50, first=T0 + 16 * DAY))
        _, complained = plant.prepare("--split", "30/40/30")
        assert "20 values of 'a' are not numbers and were treated as missing" in complained
        assert "there is no reading of 'a' from m2 (20 rows)" in complained
        assert plant.account["machines"]["m2"]["unreadable"] == {"a": 20}
        assert plant.account["machines"]["m1"]["complete"] == 150


class TestEvents:
    def test_one_that_began_long_before_still_labels(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m", "a={i}"))
        plant.put(
            f'events,machine_id=m kind="WEAR",stop={T0 + 20 * SECOND}i {T0 - 30 * DAY}',
            f'events,machine_id=m kind="SPIKE",stop={T0 + 32 * SECOND}i {T0 + 30 * SECOND}',
            f'events,machine_id=m kind="OVER",stop={T0 - 29 * DAY}i {T0 - 30 * DAY + 1}',
        )
        plant.prepare()
        frame = read_table(plant.folder / "out" / "train.csv")
        faulty = frame[frame["anomaly"] == 1]
        assert faulty["a"].tolist() == [*range(20), 30, 31]
        assert faulty["kind"].tolist() == ["WEAR"] * 20 + ["SPIKE"] * 2
        assert plant.metadata["labels"]["events"] == 2

    def test_those_without_the_machines_tag_are_refused_rather_than_given_to_nobody(
        self, plant: Plant
    ) -> None:
        plant.put(*rows("machine_id=m", "a={i}"))
        plant.put(f'events,asset=m kind="SPIKE",stop={T0 + SECOND}i {T0}')
        plant.refused("the events have no tag 'machine_id' with the machine's id; there are: asset")
        plant.prepare("--labels", "none")

    def test_those_of_machines_without_rows_are_said(self, plant: Plant) -> None:
        plant.put(*rows("machine_id=m1", "a={i}"), *rows("machine_id=m2", "a={i}"))
        plant.put(
            *(
                f'events,machine_id={m} kind="SPIKE",stop={T0 + 2 * SECOND}i {T0}'
                for m in ("m1", "m2", "M1", "M3")
            ),
        )
        _, complained = plant.prepare()
        assert complained == (
            "edge-train: 2 events label nothing, as their machines have no rows in the range: M1, M3\n"
        )
        _, complained = plant.prepare("--machine", "m1")
        assert complained == ""
        assert plant.metadata["splits"]["train"]["anomalies"] == 2

    def test_whole_machines_are_split_with_the_events_of_each(self, plant: Plant) -> None:
        names = ("m1", "m2", "m3", "m4", "m5")
        plant.put(*(line for m in names for line in rows(f"machine_id={m}", "a={i}", 40)))
        plant.put(*(f'events,machine_id={m} kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}' for m in names))
        plant.range = RANGE[:4]  # without a gap
        said, complained = plant.prepare("--split", "machine:60/20/20")
        assert complained == ""
        assert "read 200 rows of the database: 200 taken" in said
        assert plant.metadata["split"]["by"] == "machine"
        splits = plant.metadata["splits"]
        assert [len(splits[name]["machines"]) for name in ("train", "val", "test")] == [3, 1, 1]
        assert {m for split in splits.values() for m in split["machines"]} == set(names)
        assert [splits[name]["anomalies"] for name in ("train", "val", "test")] == [9, 3, 3]
        assert plant.account["taken"] == 200

    def test_a_server_that_goes_away_is_not_one_without_events(self) -> None:
        with answering() as server:
            reader = open_reader(InfluxClient(InfluxSettings(url=server.url, database="plant")))
            policies = b'{"results":['  # and no more comes

            def says(target: str) -> list[bytes]:
                return [b'{"results":[{"statement_id":0}]}' if "FIELD+KEYS" in target else policies]

            server.answer = says
            with pytest.raises(SourceUnavailableError):
                find_events(reader, "events")
            policies = b'{"results":[{"error":"not implemented"}]}'
            assert find_events(reader, "events") is None

    def test_rows_and_events_without_any_tag_are_of_the_one_machine(self, plant: Plant) -> None:
        plant.put(*rows("", "a={i}"))
        plant.put(f'events kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}')
        plant.prepare()
        assert plant.metadata["splits"]["train"]["anomalies"] == 3


class TestRetentionPolicies:
    def test_rows_of_another_policy_are_read_by_its_name_with_the_events_of_the_default_one(
        self, real: Plant
    ) -> None:
        real.make_policy("two years")
        real.put(*rows("machine_id=m", "a={i}"), policy="two years")
        real.put(f'events,machine_id=m kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}')
        real.refused("there are rows in two years: .*or give --retention-policy")
        real.refused("retention policy not found: nosuch", "--retention-policy", "nosuch")
        _, complained = real.prepare("--retention-policy", "two years")
        assert real.metadata["splits"]["train"]["anomalies"] == 3
        assert real.metadata["query"]["retention_policy"] == "two years"
        assert complained == (
            "edge-train: the events of the measurement events were read from the retention policy 'autogen'\n"
        )

    def test_events_in_several_others_are_not_chosen_from(self, real: Plant) -> None:
        real.put(*rows("machine_id=m", "a={i}"))
        for policy in ("x", "y"):
            real.make_policy(policy)
            real.put(f'events,machine_id=m kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}', policy=policy)
        real.refused(r"the events may be those of several retention policies \(x, y\)")

    def test_a_bucket_has_none(self, real: Plant) -> None:
        real.where = ("--org", "plant", "--bucket", "b")
        real.refused("a bucket has no retention policies", "--retention-policy", "x")


OWN = """from(bucket: "line 1")
  |> range(start: {start}, stop: {stop})
  |> filter(fn: (r) => r._measurement == "sensors")
  |> filter(fn: (r) => (r._field == "a" or r._field == "b"))
  |> toFloat()
  |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
  |> keep(columns: ["_time", "asset", "a", "b"])
  |> group()
  |> sort(columns: ["_time"])
"""


class TestQueryOfOnesOwn:
    @pytest.fixture
    def by_flux(self, tmp_path: Path) -> Iterator[Plant]:
        held = Flux2()
        (tmp_path / "own.flux").write_text(OWN)
        with serving_flux(held) as where:
            yield Plant(held, (*where, "--flux-file", str(tmp_path / "own.flux")), tmp_path)

    def test_its_rows_are_history_with_the_events_of_the_bucket(self, by_flux: Plant) -> None:
        by_flux.put(*rows("asset=m1", "a={i}i,b=1,c=3"), *rows("asset=m2", "a={i}i", 50, first=T0 + 1))
        by_flux.put(f'events,asset=m1 kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}')
        options = ("--machine-tag", "asset", "--sensor", "a", "--sensor", "b")
        said, complained = by_flux.prepare(*options)
        assert "read 150 rows of the database: 150 taken" in said
        assert "there is no reading of 'b' from m2 (50 rows)" in complained
        assert by_flux.account["machines"]["m1"]["complete"] == 100
        assert by_flux.metadata["query"]["flux"] == OWN
        assert by_flux.metadata["splits"]["train"]["start"] == "2026-01-01T00:00:00Z"
        frame = read_table(by_flux.folder / "out" / "train.csv")
        assert frame[frame["anomaly"] == 1]["machine_id"].tolist() == ["m1"] * 3
        assert isinstance(by_flux.held, Flux2)
        # Once for the first and the last row, and once more up to that one.
        assert [query for query in by_flux.held.asked if "toFloat" in query] == [
            OWN.replace("{start}", "2026-01-01T00:00:00Z").replace("{stop}", stop)
            for stop in ("2026-02-01T00:00:00Z", "2026-01-01T00:01:39.000000001Z")
        ]

    def test_what_it_contradicts_or_lacks_is_said(self, by_flux: Plant) -> None:
        by_flux.put(*rows("asset=m1 host=a", "a={i},b=1"), *rows("asset=m1 host=b", "a=-1"))
        options = ("--machine-tag", "asset", "--sensor", "a")
        by_flux.refused("100 of 200 rows of machine 'm1' contradict .*: group or filter them in it", *options)
        by_flux.refused(
            "the query gives no rows from 2020-01-01",
            *options,
            "--start",
            "2020-01-01",
            "--stop",
            "2021-01-01",
        )
        by_flux.refused("name them with --sensor")
        by_flux.refused("choose them in the query", *options, "--machine", "m1")
        by_flux.refused("cannot read the query", *options, "--flux-file", str(by_flux.folder / "none"))

    def test_it_needs_a_bucket(self, by_flux: Plant) -> None:
        by_flux.where = ("--database", "plant", *by_flux.where[-2:])
        by_flux.refused("give --bucket with --org", "--sensor", "a")
        by_flux.where = ("--csv", str(by_flux.folder / "x.csv"), *by_flux.where[-2:])
        by_flux.refused("files and InfluxDB cannot be combined", "--sensor", "a")
