"""Five hundred machines in anomaly at once: one digest for people, each alarm for programs, and none is lost.

`make soak` feeds them as a plant does, a row a second of each machine, and prints what that costs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import SENSORS, make_bundle, normal_rows
from support.commands import unmeasured
from support.postbox import PostBox
from support.receiving import receiving
from support.subscriber import Subscriber

from edge_runtime.bundle.judging import Alarms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mosquitto import Mosquitto

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
MACHINES = 500
CALM, FLOOD = (30, 20) if SOAK else (6, 8)
# What is gathered goes out at the end at the latest, so a busy machine sees one message as well.
GATHER_S = 8.0 if SOAK else 600.0
T0 = 1_760_000_000
NAMES = [sensor[0] for sensor in SENSORS]
AT_ONCE = 5
# So that nothing is told twice because the machine is busy.
PATIENCE_S = 240.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    delays = Alarms(on_delay_s=2.0, off_delay_s=3.0, high_severity=1e9, rows=100)
    return make_bundle(tmp_path_factory.mktemp("flood"), alarms=delays)


def seconds() -> Iterator[bytes]:
    """What comes in each second: a line of CSV of each machine."""
    yield (",".join(["time", "machine_id", *NAMES]) + "\n").encode()
    for second in range(CALM + FLOOD):
        values = normal_rows(MACHINES, seed=second)
        if second >= CALM:
            values[:, NAMES.index("vibration")] *= 8
        lines = (
            f"{T0 + second},m{number:03},{','.join(f'{value:.3f}' for value in row)}\n"
            for number, row in enumerate(np.asarray(values))
        )
        yield "".join(lines).encode()


def cpu_ms(pid: int) -> float:
    """CPU time of a process so far, in milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def test_a_flood_is_one_message_for_people_and_each_alarm_for_programs(
    bundle: Path, tmp_path: Path, mosquitto: Mosquitto
) -> None:
    with receiving() as web, PostBox() as mail, Subscriber(mosquitto.port, "flood/+/alarm") as listener:
        (tmp_path / "c.toml").write_text(
            f"""
[run]
bundle = "{bundle}"
source = "stdin"
state = "l"
sinks = ["webhook", "mqtt", "email", "slack", "alarmlog"]
[alarmlog]
output = "alarms.jsonl"
[webhook]
url = "{web.url}/all"
timeout = {PATIENCE_S}
[slack]
url = "{web.url}/people"
timeout = {PATIENCE_S}
at_once = {AT_ONCE}
gather_s = {GATHER_S}
[mqtt_sink]
url = "{mosquitto.url}"
timeout = {PATIENCE_S}
alarm_topic = "flood/{{machine_id}}/alarm"
[email]
host = "127.0.0.1"
port = {mail.port}
security = "none"
timeout = {PATIENCE_S}
sender = "gateway@example.org"
to = ["shift@example.org"]
at_once = {AT_ONCE}
gather_s = {GATHER_S}
"""
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_runtime", "run", "--config", "c.toml"],
            cwd=tmp_path,
            env=unmeasured(),
            stdin=subprocess.PIPE,
            stderr=(tmp_path / "log").open("wb"),
        )
        costs = list[float]()
        begun, before = time.monotonic(), 0.0
        assert process.stdin is not None
        for number, lines in enumerate(seconds()):
            process.stdin.write(lines)
            process.stdin.flush()
            if SOAK and number:
                time.sleep(max(0.0, begun + number - time.monotonic()))
                used = cpu_ms(process.pid)
                costs.append(used - before)
                before = used
        process.stdin.close()
        assert process.wait(300) == 0, (tmp_path / "log").read_text()
        log = [json.loads(line) for line in (tmp_path / "alarms.jsonl").read_text().splitlines()]
        raised = {line["event_id"] for line in log if line["change"] == "raised"}
        assert len(raised) == MACHINES
        changes = {f"{line['event_id']}-{line['revision']}" for line in log}
        posted = [one.key for one in web.posts if one.path == "/all"]
        assert sorted(posted) == sorted(changes)
        assert len(listener.wait_for(len(changes))) == len(changes)
    mails = mail.mails
    for_people = {
        "mail": [f"{one['Subject']}\n{one.get_content()}" for one in mails],
        "chat": [json.dumps(one.document) for one in web.posts if one.path == "/people"],
    }
    for_mail = set[str]()
    for text in for_people["mail"]:
        for_mail |= set(re.findall(r"\b[0-9a-f]{16}\b", text))
    assert for_mail >= raised
    digests = [text for text in for_people["mail"] if len(set(re.findall(r"\bm\d{3}\b", text))) > 1]
    alone = len(mails) - len(digests)
    if costs:
        calm, flood = costs[CALM // 2 : CALM - 1], costs[CALM:]
        print(  # noqa: T201
            f"\n{MACHINES} machines; CPU in a second: before, median {np.median(calm):.0f} ms; "
            f"in the flood: median {np.median(flood):.0f} ms, most {max(flood):.0f} ms; "
            f"{len(digests)} digests and {alone} single mails"
        )
    assert len(digests) == 1
    assert alone <= AT_ONCE
    assert len(for_people["chat"]) <= AT_ONCE + 1
