"""`edge-train prepare` out of an InfluxDB: all that is read is counted, and nothing is lost without a word.

Each test reads a real 1.x as a database, and once more as the bucket of 2.x that is mapped to it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from support.mapped import TOKEN, mapped_bucket
from typer.testing import CliRunner

from edge_runtime.errors import EdgeDetectError
from edge_runtime.influxdb import InfluxClient, query, write
from edge_runtime.influxdb.settings import TOKEN_VARIABLE
from trainer.cli import app
from trainer.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

T0 = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
RANGE = ("--start", "2026-01-01", "--stop", "2026-02-01", "--gap", "0")


def put(client: InfluxClient, *lines: str) -> None:
    write(client, "".join(f"{line}\n" for line in lines).encode())


def rows(tags: str, fields: str, number: int = 100, *, first: int = T0, step: int = SECOND) -> list[str]:
    """Rows of one series; `{i}` in the fields is the row's number."""
    series = ",".join(["sensors", *tags.split()])
    return [f"{series} {fields.replace('{i}', str(i))} {first + i * step}" for i in range(number)]


class Plant:
    """A database, and the options that name it or the bucket that is mapped to it."""

    def __init__(self, client: InfluxClient, where: tuple[str, ...], folder: Path) -> None:
        self.client = client
        self.where = where
        self.folder = folder

    def prepare(self, *more: str) -> tuple[str, str]:
        """What the command says on standard output and on standard error; its error is raised."""
        result = CliRunner().invoke(
            app, ["prepare", *self.where, *RANGE, "-o", str(self.folder / "out"), *more]
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


@pytest.fixture(params=["database", "mapped bucket"])
def plant(
    request: pytest.FixtureRequest,
    database: InfluxClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Plant]:
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
        put(
            plant.client,
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
        assert "7 of 1,507 rows of machine 'm1' contradict another one of their time" in complained
        assert "2026-01-01T00:08:20Z (a 500 and -1); they differ in the tag 'host' (a, d)" in complained

    def test_one_machine_that_contradicts_itself_is_not_hidden_by_the_others(self, plant: Plant) -> None:
        put(
            plant.client,
            *rows("machine_id=good host=a", "a=1", 5000),
            *rows("machine_id=torn host=a", "a=1", 40),
            *rows("machine_id=torn host=b", "a=2", 40),
        )
        plant.refused(r"40 of 80 rows of machine 'torn' contradict .*they differ in the tag 'host' \(a, b\)")

    def test_a_row_a_sensor_is_refused_and_the_tag_named(self, plant: Plant) -> None:
        for sensor, value in (("flow", 12.5), ("power", 250), ("temperature", 50)):
            put(plant.client, *rows(f"machine_id=m sensor={sensor}", f"value={value}"))
        plant.refused(
            r"two series of machine 'm' have different values at .* \(value 12.5 and 250 and 50\); they "
            r"differ in the tag 'sensor' \(flow, power, temperature\).* write each of them as a field"
        )

    def test_so_it_is_where_the_machine_stood_still_at_the_end(self, plant: Plant) -> None:
        for sensor, value in (("flow", 12.5), ("power", 250)):
            put(plant.client, *rows(f"machine_id=m sensor={sensor}", f"value={value}", 300))
            put(
                plant.client,
                *rows(f"machine_id=m sensor={sensor}", "value=0", 300, first=T0 + 300 * SECOND),
            )
        plant.refused(
            r"300 of 1,200 rows of machine 'm' contradict .*\(value 12.5 and 250\); .*'sensor' \(flow, "
            r"power\)"
        )

    def test_a_row_a_sensor_each_at_its_own_time_is_said(self, plant: Plant) -> None:
        for place, (sensor, value) in enumerate((("flow", 12.5), ("power", 250))):
            put(
                plant.client,
                *rows(f"machine_id=m sensor={sensor}", f"value={value}", first=T0 + place * SECOND // 2),
            )
        _, complained = plant.prepare()
        assert "several series of machine 'm' bring 'value' in turn" in complained
        assert "they differ in the tag 'sensor' (flow, power)" in complained

    def test_a_host_that_takes_over_from_another_is_no_matter(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m host=a", "a={i}", 50))
        put(plant.client, *rows("machine_id=m host=b", "a={i}", 50, first=T0 + 50 * SECOND))
        _, complained = plant.prepare()
        assert complained == ""
        assert plant.account["taken"] == 100
        assert plant.metadata["query"].get("bucket") == ("line 1" if "--bucket" in plant.where else None)


class TestWhatIsLacking:
    def test_a_machine_without_a_sensor_is_named_with_it_and_its_rows(self, plant: Plant) -> None:
        put(
            plant.client,
            *rows("machine_id=m1", "a={i},b=1"),
            *rows("machine_id=m2", "a={i}", 60),
            *rows("machine_id=m3", "a={i}", 40, step=2 * SECOND),
            *rows("machine_id=m4", "a={i}", 30),
            *rows("machine_id=m4", "b={i}", 30, first=T0 + SECOND // 2),
        )
        _, complained = plant.prepare()
        assert "there is no reading of 'b' from m2 (60 rows), m3 (40 rows): " in complained
        assert "no row has a reading of every sensor from m4 (60 rows): they are not trained" in complained
        assert "m1" not in complained
        assert plant.account["machines"]["m2"]["missing"] == {"b": 60}

    def test_fields_that_are_left_out_are_named(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m", 'a={i},b=1,note="x",on=true,anomaly=0i'))
        put(plant.client, *rows("machine_id=m", "old=1", 5, first=T0 - 40 * DAY))
        _, complained = plant.prepare()
        assert "fields that hold no numbers were left out: note (string), on (boolean)\n" in complained
        assert "fields without a reading in the range were left out: old\n" in complained
        assert "left out, as their names are those of labels: anomaly; they label no row" in complained
        assert [sensor["name"] for sensor in plant.metadata["sensors"]] == ["a", "b"]
        plant.prepare("--sensor", "a")

    def test_a_chosen_sensor_without_a_reading_in_the_range_is_refused(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m", "a={i}"))
        put(plant.client, *rows("machine_id=m", "old=1", 5, first=T0 - 40 * DAY))
        plant.refused("no row has a reading of old from 2026-01-01", "--sensor", "a", "--sensor", "old")

    def test_a_chosen_machine_without_a_row_in_the_range_is_said(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m1", "a={i}"))
        put(plant.client, *rows("machine_id=m2", "a={i}", 5, first=T0 - 40 * DAY))
        _, complained = plant.prepare("--machine", "m1", "--machine", "m2")
        assert complained == "edge-train: there is no row in the range of m2: not trained\n"

    def test_a_sensor_that_is_text_in_the_whole_range_is_refused(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m", "a={i},b=1", 5, first=T0 - 40 * DAY))
        put(plant.client, *rows("machine_id=m", 'a={i},b="off"'))
        plant.refused("no row has a number for b; choose the sensors with --sensor")
        plant.prepare("--sensor", "a")

    def test_text_costs_its_readings_alone(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m1", "a={i},b=1"))
        put(plant.client, *rows("machine_id=m2", 'a="n/a",b=1', 20, first=T0 + 8 * DAY))
        put(plant.client, *rows("machine_id=m1", "a={i}i,b=1", 50, first=T0 + 16 * DAY))
        _, complained = plant.prepare("--split", "30/40/30")
        assert "20 values of 'a' are not numbers and were treated as missing" in complained
        assert "there is no reading of 'a' from m2 (20 rows)" in complained
        assert plant.account["machines"]["m2"]["unreadable"] == {"a": 20}
        assert plant.account["machines"]["m1"]["complete"] == 150


class TestEvents:
    def test_one_that_began_long_before_still_labels(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m", "a={i}"))
        put(
            plant.client,
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
        put(plant.client, *rows("machine_id=m", "a={i}"))
        put(plant.client, f'events,asset=m kind="SPIKE",stop={T0 + SECOND}i {T0}')
        plant.refused("the events have no tag 'machine_id' with the machine's id; there are: asset")
        plant.prepare("--labels", "none")

    def test_those_of_machines_without_rows_are_said(self, plant: Plant) -> None:
        put(plant.client, *rows("machine_id=m1", "a={i}"), *rows("machine_id=m2", "a={i}"))
        put(
            plant.client,
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

    def test_rows_and_events_without_any_tag_are_of_the_one_machine(self, plant: Plant) -> None:
        put(plant.client, *rows("", "a={i}"))
        put(plant.client, f'events kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}')
        plant.prepare()
        assert plant.metadata["splits"]["train"]["anomalies"] == 3


class TestRetentionPolicies:
    def test_rows_of_another_policy_are_read_by_its_name_with_the_events_of_the_default_one(
        self, real: Plant
    ) -> None:
        name = real.client.settings.database
        list(query(real.client, f'CREATE RETENTION POLICY "two years" ON "{name}" DURATION 0s REPLICATION 1'))
        put(
            InfluxClient(replace(real.client.settings, retention_policy="two years")),
            *rows("machine_id=m", "a={i}"),
        )
        put(real.client, f'events,machine_id=m kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}')
        real.refused("there are rows in two years: .*or give --retention-policy")
        real.refused("retention policy not found: nosuch", "--retention-policy", "nosuch")
        _, complained = real.prepare("--retention-policy", "two years")
        assert real.metadata["splits"]["train"]["anomalies"] == 3
        assert real.metadata["query"]["retention_policy"] == "two years"
        assert complained == (
            "edge-train: the events of the measurement events were read from the retention policy 'autogen'\n"
        )

    def test_events_in_several_others_are_not_chosen_from(self, real: Plant) -> None:
        name = real.client.settings.database
        put(real.client, *rows("machine_id=m", "a={i}"))
        for policy in ("x", "y"):
            list(query(real.client, f"CREATE RETENTION POLICY {policy} ON {name} DURATION 0s REPLICATION 1"))
            other = InfluxClient(replace(real.client.settings, retention_policy=policy))
            put(other, f'events,machine_id=m kind="SPIKE",stop={T0 + 3 * SECOND}i {T0}')
        real.refused(r"the events may be those of several retention policies \(x, y\)")

    def test_a_bucket_has_none(self, real: Plant) -> None:
        real.where = ("--org", "plant", "--bucket", "b")
        real.refused("a bucket has no retention policies", "--retention-policy", "x")
