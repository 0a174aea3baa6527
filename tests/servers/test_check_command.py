"""`edge-detect check` over a real InfluxDB: what is there, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.checking import NAMES, check, each_second, influx_words, put
from support.commands import assert_one_clear_line

from edge_runtime.influxdb import InfluxClient, ReadingsQuery
from edge_runtime.influxdb.query import identifier
from edge_runtime.sources.influx_feed import InfluxSource

if TYPE_CHECKING:
    from support.commands import Command

MACHINES = ("press-1", "press-2", "press-3")
LAST_30_S = [-i - 0.5 for i in reversed(range(30))]
UNPACKED = Path(__file__).parents[2] / "build" / "influxdb-package"
PASSWORD = "a s3cret"
LACKING = "none in the retention policy that is read, "
ELSEWHERE = 'there are rows in raw: set retention_policy = "raw" in [influx], or give --retention-policy'
POLICY = f"the default one; {ELSEWHERE}"


def three(client: InfluxClient) -> None:
    for machine in MACHINES:
        put(client, machine, LAST_30_S)


class TestWhatIsThere:
    def test_three_machines_as_a_user_sees_them(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        three(database)
        done = command("edge-detect", "check", *influx_words(database, bundle), "--seconds", 0.5)
        assert (done.returncode, done.stderr) == (0, b"")
        said = done.stdout.decode()
        lines = [line.split() for line in said.splitlines()]
        assert ["server", "InfluxDB", "1.6.7~rc0", "at", database.settings.url] in lines
        fields = "power (float), pressure (float), temperature (float), vibration (float)"
        assert ["fields", *fields.split()] in lines
        assert ["tags", "machine_id"] in lines
        assert ["machines", "3:", "press-1,", "press-2,", "press-3"] in lines
        assert any(line[:2] == ["newest", "row"] and line[-2:] == ["s", "ago"] for line in lines)
        assert any(line[:3] == ["rows", "90", "in"] for line in lines)
        assert ["sink", "stdout:", "takes", "rows"] in lines
        table = lines.index(["machine", "rows", "s", "between", "newest", "clock", "behind", "verdicts"])
        for machine, line in zip(MACHINES, lines[table + 1 :], strict=False):
            assert line[:3] == [machine, "30", "1"]
            assert line[-4:] == ["1", "anomaly,", "29", "normal"]
        first = next(place for place, line in enumerate(lines) if line[:2] == ["first", "verdicts"])
        verdicts = lines[first + 1 : first + 11]
        assert [line[1] for line in verdicts] == [MACHINES[i % 3] for i in range(10)]
        assert all(line[2] == "normal" and line[4] in NAMES for line in verdicts)
        assert said.endswith("\nNothing is wrong.\n")

    def test_the_document_has_the_same(self, command: Command, database: InfluxClient, bundle: Path) -> None:
        three(database)
        found = check(command, *influx_words(database, bundle))
        assert (found.code, found.wrong) == (0, [])
        assert found.fact("server") == f"InfluxDB 1.6.7~rc0 at {database.settings.url}"
        assert found.fact("machines") == "3: press-1, press-2, press-3"
        assert found.fact("ledger").endswith(".sqlite: not there yet")
        assert found.rows["read"] == 90
        assert list(found.machines) == list(MACHINES)
        for seen in found.machines.values():
            assert seen["rows"] == 30
            assert seen["seconds_between_rows"] == pytest.approx(1)
            assert seen["clock_behind_s"] is None  # nothing came while it looked
            assert seen["verdicts"] == {"normal": 29, "anomaly": 1}
        assert len(found.first) == 10
        assert found.first[0]["machine_id"] == "press-1"
        assert found.first[0]["verdict"] == "normal"
        assert set(found.first[0]) == {
            *("time", "machine_id", "verdict", "severity", "sensor", "unit", "actual", "expected")
        }

    def test_a_clock_that_is_somewhat_wrong_is_shown(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        behind = {"press-1": 0.0, "press-2": 60.0, "press-3": -40.0}
        for machine, seconds in behind.items():
            put(database, machine, [each - seconds for each in LAST_30_S])

        def measure() -> None:
            for machine, seconds in behind.items():
                put(database, machine, [-seconds])

        with each_second(measure):
            found = check(command, *influx_words(database, bundle), "--poll", 0.5, seconds=4)
        assert found.wrong == []
        for machine, seconds in behind.items():
            assert found.machines[machine]["rows"] > 30
            assert found.machines[machine]["clock_behind_s"] == pytest.approx(seconds + 1, abs=3)

    def test_a_clock_that_is_hours_wrong_is_named(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        put(database, "press-1", LAST_30_S)
        put(database, "press-2", [10_800 + each for each in LAST_30_S])
        put(database, "press-3", [-10_800 + each for each in LAST_30_S])
        found = check(command, *influx_words(database, bundle))
        words = "press-2: its newest row is 3 h ahead of this gateway's clock, and waits for its time"
        assert found.only_wrong("clock") == words
        assert ("newest row", "press-3: 3 h ago") in found.facts
        assert list(found.machines) == ["press-1"]

    def test_rows_of_the_future_alone(self, command: Command, database: InfluxClient, bundle: Path) -> None:
        put(database, "press-2", [3600 + each for each in LAST_30_S])
        found = check(command, *influx_words(database, bundle))
        assert [name for name, _ in found.wrong] == ["clock", "newest row", "rows", "instead"]


class TestWhatIsWrong:
    def test_another_cadence(self, command: Command, database: InfluxClient, bundle: Path) -> None:
        put(database, "press-1", LAST_30_S)
        put(database, "press-2", [10 * each for each in LAST_30_S])
        found = check(command, *influx_words(database, bundle))
        words = "press-2: a row every 10 s; the bundle was trained on one every 1 s"
        assert found.only_wrong("cadence") == words
        assert found.machines["press-2"]["seconds_between_rows"] == pytest.approx(10)

    def test_a_sensor_that_is_not_there(self, command: Command, database: InfluxClient, bundle: Path) -> None:
        put(database, "press-1", LAST_30_S, names=NAMES[:3])
        found = check(command, *influx_words(database, bundle))
        where = f"{database.settings.place}, measurement sensors"
        assert found.wrong[-1] == (
            "source",
            f"{where}: no field 'power'; there are: pressure, temperature, vibration",
        )

    def test_a_sensor_of_which_nothing_comes(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        put(database, "press-1", [-80_000])
        put(database, "press-1", LAST_30_S, names=NAMES[:3])
        found = check(command, *influx_words(database, bundle))
        assert ("sensors", "power did not come in any row") in found.wrong
        assert any(name == "unknown" and text.endswith(": missing") for name, text in found.wrong)

    @pytest.mark.parametrize(
        ("option", "words"),
        [
            ("--measurement", "there is no such measurement; there are: sensors"),
            (
                "--machine-tag",
                "there is no tag 'nope' with the machine's id; there are: machine_id; or =NAM",
            ),
            ("--machine", "no machine 'nope' in the tag 'machine_id'; there are: press-1, press-2, press-3"),
        ],
    )
    def test_a_name_that_is_not_there(
        self, command: Command, database: InfluxClient, bundle: Path, option: str, words: str
    ) -> None:
        three(database)
        found = check(command, *influx_words(database, bundle), option, "nope")
        name, text = found.wrong[-1]
        assert name == "source"
        assert words in text

    def test_rows_in_another_retention_policy(
        self, command: Command, database: InfluxClient, bundle: Path
    ) -> None:
        name = identifier(database.settings.database)
        question = f"CREATE RETENTION POLICY raw ON {name} DURATION INF REPLICATION 1"
        with database.request("POST", "/query", {"q": question}) as response:
            assert b"error" not in response.read()
        three(InfluxClient(replace(database.settings, retention_policy="raw")))
        words = influx_words(database, bundle)
        text = check(command, *words).only_wrong("source")
        assert text == f"{database.settings.place}: there is no row: {LACKING}{POLICY}"
        assert_one_clear_line(command("edge-detect", "run", *words), 1, f"there is no row: {LACKING}{POLICY}")
        for option in (("--set", "influx.retention_policy=raw"), ("--retention-policy", "raw")):
            found = check(command, *words, *option)
            assert (found.wrong, found.rows["read"]) == ([], 90)
        # The default one has rows too, but of another machine, and long ago.
        put(database, "old", [-40 * 86_400])
        text = check(command, *words).only_wrong("source")
        assert text.endswith(POLICY)
        source = InfluxSource(database.settings, ReadingsQuery(tuple(NAMES)), start_ns=0)
        assert source.what_came() == f"no row has come so far: {LACKING}{POLICY}"
