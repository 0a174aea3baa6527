"""`kill -9` while web server, mail server, broker and database are told: each change, and once by its id.

`make soak` kills a thousand times.
"""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from support.alarmfeed import MACHINES, AlarmFeed, Case
from support.lives import KILLED, Ending, Lives
from support.people import People, some_ending
from support.postbox import PostBox
from support.receiving import receiving
from support.subscriber import Subscriber

from edge_runtime.influxdb import InfluxClient, InfluxSettings, create_database, query
from edge_runtime.sinks.outlet import FOR_PEOPLE, SUSPENDING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from influxd import Influxd
    from mosquitto import Mosquitto
    from support.receiving import Posted, Receiver

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
KILLS = 1000 if SOAK else 20
IN_ONE_CASE = 8
STEPS = 160
MAX_MB = 170
# So that nothing is told again for want of time alone.
PATIENCE_S = 240.0

pytestmark = pytest.mark.timeout(3500 if SOAK else 600)


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlarmFeed]:
    folder = tmp_path_factory.mktemp("told")
    with Lives(folder / "state") as lives:
        yield AlarmFeed(folder, lives, STEPS)


def configuration(
    number: int, web: Receiver, mail: PostBox, broker: Mosquitto, database: InfluxSettings
) -> str:
    """Where one gateway tells what."""
    return f"""
[run]
sinks = ["jsonl", "alarmlog", "webhook", "mqtt", "email", "influx"]
[influx]
url = "{database.url}"
database = "{database.database}"
[influx_sink]
takes = ["alarms"]
[webhook]
url = "{web.url}/{number}"
timeout = {PATIENCE_S}
[mqtt_sink]
url = "{broker.url}"
client_id = "gateway-{number}"
timeout = {PATIENCE_S}
alarm_topic = "kills/{number}/{{machine_id}}/alarm"
state_topic = "kills/{number}/{{machine_id}}/state"
status_topic = "kills/{number}/status"
[email]
host = "127.0.0.1"
port = {mail.port}
security = "none"
timeout = {PATIENCE_S}
sender = "gateway@example.org"
to = ["shift-{number}@example.org"]
at_once = 10000
"""


def key(line: dict[str, Any]) -> str:
    return f"{line['event_id']}-{line['revision']}"


def wanted(log: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What those have to be told who are told of alarms, by its key: not what is only recorded."""
    quiet = [line for line in log if line["shelved_until"] or line["out_of_service"]]
    told = [line for line in log if line not in quiet or line["change"] in SUSPENDING]
    return {key(line): line for line in told}


def check_web(posted: list[Posted], log: dict[str, dict[str, Any]]) -> int:
    """Each change was posted under its key, with its fields; returns how many came again."""
    assert {one.key for one in posted} == set(log)
    for one in posted:
        document = one.document
        assert document.pop("text")
        assert document == log[one.key]
    return len(posted) - len(log)


def check_mail(mails: list[EmailMessage], log: dict[str, dict[str, Any]]) -> int:
    """Each change that a person has to know was mailed, always under the same id."""
    told = [f"{one['X-Edge-Detect-Event']}-{one['X-Edge-Detect-Revision']}" for one in mails]
    assert set(told) == {
        found
        for found, line in log.items()
        if line["change"] in FOR_PEOPLE and not (line["shelved_until"] or line["out_of_service"])
    }
    # By its id, a mail program or a reader can tell that it is the same.
    assert len({one["Message-ID"] for one in mails}) == len(set(told))
    return len(told) - len(set(told))


def check_broker(listener: Subscriber, log: dict[str, dict[str, Any]]) -> int:
    """Each change was published with its fields; waits for those that are still on their way."""
    heard = listener.wait(lambda some: {key(one.content) for one in some} >= set(log))
    for one in heard:
        document = one.content
        assert (one.retained, one.qos) == (False, 1)
        assert document.pop("told") or document["change"] in SUSPENDING
        assert document == log[key(document)]
    return len(heard) - len(log)


def check_points(database: InfluxClient, log: list[dict[str, Any]]) -> None:
    """Each change is a point, also that of an alarm that is only recorded."""
    found = Counter[tuple[str, int, str]]()
    for series in query(database, "SELECT event_id, revision, change FROM alarms"):
        found.update(tuple(row[1:]) for row in series.values)
    assert found == Counter((line["event_id"], line["revision"], line["change"]) for line in log)


def check_states(port: int, number: int, case: Case) -> None:
    """What the broker keeps of each machine is what is open."""
    opened = {one.alarm.event_id: one.alarm.revision for one in case.kept().open()}
    with Subscriber(port, f"kills/{number}/+/state") as shown:
        heard = shown.wait_for(len(MACHINES))
    found = [alarm for one in heard for alarm in one.content["alarms"]]
    assert {one["event_id"]: one["revision"] for one in found} == opened


def test_killed_while_many_are_told_each_alarm_is_told_and_once_by_its_id(
    feed: AlarmFeed, tmp_path: Path, mosquitto: Mosquitto, influxd: Influxd
) -> None:
    chosen, kills, changes = random.Random("told"), 0, 0  # noqa: S311 - for moments
    again = dict.fromkeys(("webhook", "mqtt", "email"), 0)
    with receiving() as web, PostBox() as mail:
        for number in count():
            if kills >= KILLS:
                break
            case = feed.case(tmp_path / str(number))
            case.config = tmp_path / f"{number}.toml"
            name = f"told_{uuid.uuid4().hex[:8]}"
            database = InfluxClient(InfluxSettings(influxd.url, database=name, timeout=60.0))
            create_database(database)
            case.config.write_text(configuration(number, web, mail, mosquitto, database.settings))
            people = People(case, chosen)
            with Subscriber(mosquitto.port, f"kills/{number}/+/alarm") as listener:
                for _ in range(min(IN_ONE_CASE, KILLS - kills)):
                    ending = some_ending(chosen, feed.points)
                    meanwhile = people.say_it_now_and_then
                    life = case.live(Ending(at=ending.at, after_s=ending.after_s, meanwhile=meanwhile))
                    assert life.code in (KILLED, 0), life.log
                    kills += life.code == KILLED
                assert case.live().code == 0, case.said
                case.check()
                log = wanted(case.log())
                changes += len(log)
                again["mqtt"] += check_broker(listener, log)
            again["webhook"] += check_web([one for one in web.posts if one.path == f"/{number}"], log)
            again["email"] += check_mail([one for one in mail.mails if f"shift-{number}@" in one["To"]], log)
            check_points(database, case.log())
            check_states(mosquitto.port, number, case)
    print(f"\n{kills} kills, {changes} changes told; told again: {again}")  # noqa: T201
    assert kills >= KILLS
    assert feed.lives.peak_mb < MAX_MB
