"""Changes of alarms in an InfluxDB: a point each, beside the rows."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alarmtargets import some_changes
from support.exchanges import playing
from support.influx2 import client, posted
from support.targets import DIGEST, SENSORS, some_results

from edge_runtime.config import flat
from edge_runtime.connector import Given
from edge_runtime.delivery.ledger import Ledger
from edge_runtime.delivery.sender import Sender
from edge_runtime.errors import UsageError
from edge_runtime.influxdb import query, write
from edge_runtime.sinks.base import ALARMS, ROWS, Verdicts
from edge_runtime.sinks.influx import INFLUX, InfluxSink
from edge_runtime.sinks.influx_alarms import encode_change
from edge_runtime.sinks.outlet import Outlet
from edge_runtime.timeparse import LATEST

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.engine.alarms import Change
    from edge_runtime.influxdb import InfluxClient
    from edge_runtime.records import Results

SOME = some_changes()
RAISED = next(one for one in SOME if one.change == "raised" and one.fields["kind"] == "machine")


@pytest.fixture(scope="module")
def results(bundle: Path) -> Results:
    return some_results(bundle)


def sink_of(database: InfluxClient) -> InfluxSink:
    return InfluxSink(database.settings, SENSORS, DIGEST)


def changed(change: Change = RAISED, *, time: int | None = None, **fields: Any) -> Change:
    """The same with other fields."""
    return replace(change, time=change.time if time is None else time, fields={**change.fields, **fields})


def points(database: InfluxClient, measurement: str = "alarms") -> list[dict[str, Any]]:
    return [
        {name: value for name, value in zip(series.columns, row, strict=True) if value is not None}
        for series in query(database, f"SELECT * FROM {measurement}")  # noqa: S608 - no input
        for row in series.values
    ]


def meant(change: Change) -> dict[str, Any]:
    """The point of a change, as a person would write it down."""
    fields = {name: value for name, value in change.fields.items() if value not in (None, "")}
    first = fields.pop("sensors")
    point = {**fields, "change": change.change, "told": change.told, "time": change.time + fields["revision"]}
    point["sensors"] = json.dumps(first, separators=(",", ":"), ensure_ascii=False)
    point |= {"first_out": first[0]["name"], "unit": first[0]["unit"]}
    point |= {name: first[0][name] for name in ("actual", "expected") if first[0][name] is not None}
    if "comment" in point:
        point["comment"] = point["comment"].replace("\n", " ")
    return point


def entries(sink: InfluxSink, changes: tuple[Change, ...], results: Results | None) -> list[Any]:
    """What goes into the outbox."""
    outlet = Outlet(sink, (ROWS, ALARMS))
    found = [(sink.name, *entry) for entry in outlet.entries(results, changes, lambda _machine: [])]
    assert len(found) == len(changes) + (results is not None)
    return found


class TestPoints:
    """What lies in the database."""

    def test_each_change_is_a_point_with_all_of_its_fields(self, database: InfluxClient) -> None:
        sink = sink_of(database)
        payloads = [sink.encode_alarm(change) for change in SOME]
        assert sink.deliver(payloads) == len(SOME)
        sink.deliver(payloads[::-1])  # as after a crash
        found = points(database)
        order = sorted(SOME, key=lambda change: change.time + change.fields["revision"])
        assert found == [meant(change) for change in order]
        assert {one["kind"] for one in found} == {"machine", "sensor"}
        assert [one for one in found if not one["told"]]

    def test_the_tags_are_those_by_which_one_groups_and_the_id_is_none(self, database: InfluxClient) -> None:
        sink = sink_of(database)
        sink.deliver([sink.encode_alarm(change) for change in SOME])
        (keys,) = query(database, "SHOW TAG KEYS FROM alarms")
        assert [row[0] for row in keys.values] == ["kind", "machine_id", "subject"]

    def test_changes_of_one_time_are_points_of_their_own(self, database: InfluxClient) -> None:
        """A row that raises an alarm ends the one before, whose revision is higher: the newest is newest."""
        before = replace(changed(revision=3, event_id="0" * 16, active=False), change="replaced")
        said = [replace(changed(revision=number), change="comment") for number in (2, 3)]
        sink = sink_of(database)
        sink.deliver([sink.encode_alarm(one) for one in (before, changed(revision=1), *said)])
        assert [(one["change"], one["time"] - RAISED.time) for one in points(database)] == [
            ("replaced", 0),
            ("raised", 1),
            ("comment", 2),
            ("comment", 3),
        ]

    def test_the_time_stays_within_a_millisecond_and_within_what_a_server_knows(
        self, database: InfluxClient
    ) -> None:
        sink = sink_of(database)
        many = [changed(revision=10**9), changed(time=LATEST, revision=5, machine_id="late")]
        assert sink.deliver([sink.encode_alarm(one) for one in many]) == 2
        assert {one["machine_id"]: one["time"] for one in points(database)} == {
            RAISED.fields["machine_id"]: RAISED.time + 999_999,
            "late": LATEST - 1,
        }

    def test_two_dot_x_gets_the_same_line_to_the_byte(self) -> None:
        change = changed(
            time=1_000_000,
            event_id="0123456789abcdef",
            machine_id="press 1, left",
            comment='a "word"\\\nmore',
            severity=3,  # a whole number is a float, or the next point would have another type
            sensors=[{"name": "power", "share": 1.0, "actual": 2, "expected": None, "unit": ""}],
            raised="2026-01-01T00:00:00Z",
            rows=7,
            bundle="sha256:00",
        )
        line = (
            b'alarms,kind=machine,machine_tag=press\\ 1\\,\\ left change="raised",told=true,'
            b'event_id="0123456789abcdef",revision=1i,active=true,acked=false,priority="high",severity=3.0,'
            b'raised="2026-01-01T00:00:00Z",comment="a \\"word\\"\\\\ more",out_of_service=false,rows=7i,'
            b'bundle="sha256:00",sensors="[{\\"name\\":\\"power\\",\\"share\\":1.0,\\"actual\\":2,'
            b'\\"expected\\":null,\\"unit\\":\\"\\"}]",first_out="power",actual=2.0 1000001\n'
        )
        with playing(posted(line)) as url:
            sink = InfluxSink(client(url).settings, ("a",), "sha256:00", machine_tag="machine_tag")
            assert sink.deliver([sink.encode_alarm(change)]) == 1


TEXTS = st.text(st.characters(exclude_categories=()), max_size=30) | st.text(
    ' ,="\\\n\r\t\0#\udc80', max_size=8
)


@settings(max_examples=200, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_whatever_a_name_or_comment_is_it_is_one_line(machine: str, subject: str, comment: str) -> None:
    sensors = [{"name": subject, "share": None, "actual": None, "expected": None, "unit": comment}]
    change = changed(machine_id=machine, subject=subject, comment=comment, sensors=sensors)
    line = encode_change(change, "alarms", "machine_id")
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert b"\r" not in line
    assert line.split(b" ")[-1] == b"%d\n" % (RAISED.time + 1)
    line.decode()


def test_a_server_takes_whatever_a_name_or_comment_is(database: InfluxClient) -> None:
    odd = [
        "\\",
        "\\\\",
        'a"',
        "a=b,c d",
        "two\nlines",
        "half \udc80",
        "\u2028\0\x1b[2J",
        "é漢🙂",
        "",
        " ",
        "#",
    ]
    changes = [
        changed(
            time=RAISED.time + 1000 * i, machine_id=text, subject=text, comment=text, acknowledged_by=text
        )
        for i, text in enumerate(odd)
    ]
    sink = sink_of(database)
    assert sink.deliver([sink.encode_alarm(one) for one in changes]) == len(odd)
    found = points(database)
    assert len(found) == len(odd)
    assert [one.get("comment", "") for one in found] == [
        text.replace("\n", " ").replace("\udc80", "?") for text in odd
    ]


class TestBesideRows:
    """Payloads of rows and of alarms in one outbox."""

    def test_both_arrive_by_way_of_the_ledger(
        self, database: InfluxClient, results: Results, tmp_path: Path
    ) -> None:
        sink = sink_of(database)
        ledger = Ledger(tmp_path / "ledger.sqlite", "none")
        sender = Sender(Outlet(sink, (ROWS, ALARMS)), ledger, pytest.fail, max_under_way=3)
        sender.check()
        payloads = entries(sink, SOME, results)
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={"read": len(results)})
        assert sender.drain() is None
        assert len(points(database)) == len(SOME)
        assert len(points(database, "anomaly")) == len(results)
        sums = ledger.sums(sink.name)
        assert (sums.waiting, sums.delivered) == (0, len(SOME) + len(results))
        ledger.close()

    def test_changes_that_the_server_refuses_take_nothing_else_along(
        self, database: InfluxClient, results: Results, tmp_path: Path
    ) -> None:
        # A measurement of somebody else's, where severity is a text: alarms of sensors have none.
        write(database, b'alarms severity="high" %d\n' % RAISED.time)
        refused = sum(change.fields["severity"] is not None for change in SOME)
        said: list[str] = []
        sink = sink_of(database)
        ledger = Ledger(tmp_path / "ledger.sqlite", "none")
        sender = Sender(Outlet(sink, (ROWS, ALARMS)), ledger, said.append)
        payloads = entries(sink, SOME, results)
        payloads = [*payloads[1:4], payloads[0], *payloads[4:]]  # among the changes
        ledger.commit(checkpoint=None, states=[], payloads=payloads, counters={"read": len(results)})
        assert sender.drain() is None
        assert 0 < refused < len(SOME)
        assert sender.refused == refused
        sums = ledger.sums(sink.name)
        assert (sums.waiting, sums.dead) == (0, refused)
        assert sums.delivered == len(SOME) - refused + len(results)
        found = [point for point in points(database) if "event_id" in point]
        assert {point["kind"] for point in found} == {"sensor"}
        assert len(found) == len(SOME) - refused
        assert len(points(database, "anomaly")) == len(results)
        assert "another type" in said[0]
        ledger.close()

    def test_as_many_go_into_one_post_as_without_alarms(self, results: Results) -> None:
        sink = InfluxSink(client("http://127.0.0.1:1").settings, SENSORS, DIGEST)
        rows, alarm = sink.encode(results), sink.encode_alarm(RAISED)
        together = [alarm, rows, alarm, alarm, rows]
        with playing(posted(b"".join(map(zlib.decompress, together)))) as url:
            sink = InfluxSink(client(url).settings, SENSORS, DIGEST)
            assert sink.deliver(together) == len(together)


class TestSettings:
    """The table [influx_sink]."""

    @staticmethod
    def made(**own: Any) -> InfluxSink:
        given = Given.of(INFLUX, {"influx_sink": flat(own), "influx": {"database": "plant"}}, "edge.toml")
        sink = INFLUX.made(given, Verdicts(sensors=SENSORS, digest=DIGEST, report=pytest.fail))
        assert isinstance(sink, InfluxSink)
        return sink

    def test_rows_and_alarms_go_there_unless_it_is_said(self) -> None:
        given = Given.of(INFLUX, {}, "edge.toml")
        takes, only = INFLUX.chosen(given)
        assert takes == (ROWS, ALARMS)
        given = Given.of(INFLUX, {"influx_sink": {"takes": [ALARMS], "only.priority": "high"}}, "edge.toml")
        takes, only = INFLUX.chosen(given)
        assert (takes, only.priority) == ((ALARMS,), "high")
        assert INFLUX.tells == "all"

    def test_the_measurement_and_the_tag_are_those_of_the_settings(self) -> None:
        sink = self.made(alarm_measurement="events", machine_tag="machine")
        line = zlib.decompress(sink.encode_alarm(RAISED))
        assert line.startswith(f"events,kind=machine,machine={RAISED.fields['machine_id']} ".encode())

    @pytest.mark.parametrize(
        ("own", "message"),
        [
            ({"alarm_measurement": "anomaly"}, "cannot both go to the measurement 'anomaly'; choose another"),
            ({"measurement": "alarms"}, "cannot both go to the measurement 'alarms'; choose another one"),
            ({"alarm_measurement": "#x"}, "'#x' cannot be the name of a measurement"),
            ({"alarm_measurement": ""}, "'' cannot be the name of a measurement"),
            ({"machine_tag": "kind"}, "'kind' cannot be the machine's tag"),
            ({"machine_tag": "first_out"}, "'first_out' cannot be the machine's tag"),
        ],
    )
    def test_what_does_not_fit_together_is_refused_unless_no_alarms_go_there(
        self, own: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(UsageError, match=message):
            self.made(**own)
        self.made(**own, takes=[ROWS])
