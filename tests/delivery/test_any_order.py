"""Whatever happens, in whatever order: each row that the broker took is in the file and in InfluxDB, once.

Rows come; `run` lives, reads, commits, acknowledges and delivers, or is killed at any point; the disk is
full; InfluxDB is away, or something else answers; the clock is wrong; the output is renamed.
`hypothesis` chooses, and shortens what fails.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from paho.mqtt.enums import CallbackAPIVersion
from support.bundles import SENSORS, normal_rows
from support.crossing import MODES, Crossing, Mode
from support.lives import KILLED, Ending, Life, Lives
from support.points import SMALL
from support.routes import begin_session
from support.smalldisk import small_disk

from edge_runtime.influxdb import InfluxClient, InfluxSettings, create_database, query
from edge_runtime.timeparse import parse_time

if TYPE_CHECKING:
    from pathlib import Path

    from influxd import Influxd
    from mosquitto import Mosquitto

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
EXAMPLES, STEPS = (150, 25) if SOAK else (3, 12)
MAX_MB = 150
T0 = 1_760_000_000
VALUES = normal_rows(500).round(3).tolist()
NAMES = [sensor[0] for sensor in SENSORS]
# What waits for tens of seconds in a plant waits for a moment here.
NUMBERS = {**SMALL, "edge_runtime.delivery.pending.DISK_S": 0, "edge_runtime.delivery.sender.DISK_S": 0}
LOOKS = 15  # after so many a life ends that cannot do what it should
ROOM = 200_000
YEAR_S = 365 * 86_400


class World:
    """What outlives a machine: servers, and where processes begin."""

    def __init__(self, folder: Path, influxd: Influxd, mosquitto: Mosquitto, lives: Lives) -> None:
        self.folder, self.lives, self.mosquitto = folder, lives, mosquitto
        self.crossing = Crossing(int(influxd.url.rpartition(":")[2]))
        self.influxd = influxd
        self.publisher = paho.Client(CallbackAPIVersion.VERSION2)
        self.publisher.connect("127.0.0.1", mosquitto.port)
        self.publisher.loop_start()
        self.counted: Counter[str] = Counter()


class Delivery(RuleBasedStateMachine):
    """One gateway, and all that may happen to it."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        world = self.world
        self._stack = ExitStack()
        name = f"t{uuid.uuid4().hex[:8]}"
        self.folder, self.disk = world.folder / name, world.folder / f"{name}.disk"
        self.folder.mkdir()
        self.mounted = self._stack.enter_context(small_disk(self.disk))
        self.topic, self.output = name, self.disk / "out.jsonl"
        begin_session(world.mosquitto.port, name)
        self.results = InfluxClient(InfluxSettings(world.influxd.url, database=name, timeout=10.0))
        create_database(self.results)
        self.rows = self.rotated = self.clock_s = 0
        self.full = False
        world.crossing.mode = "open"
        self.words = (
            *("run", "--bundle", "default", "--state", self.disk / "l", "--source", "mqtt"),
            *("--broker", world.mosquitto.url, "--topic", name, "--client-id", name),
            *("--sink", "jsonl", "--output", self.output),
            *("--sink", "influx", "--url", world.crossing.url, "--database", name),
        )

    @rule(number=st.integers(1, 40))
    def rows_come(self, number: int) -> None:
        for _ in range(number):
            row = {"time": T0 + self.rows, "machine_id": f"m{self.rows % 3}"}
            row |= dict(zip(NAMES, VALUES[self.rows % len(VALUES)], strict=True))
            self.rows += 1
            published = self.world.publisher.publish(self.topic, json.dumps(row), qos=1)
            published.wait_for_publish(30)

    @rule()
    def lives(self) -> None:
        life = self._live(Ending(when=self._is_done_or_stuck(), clock_s=self.clock_s))
        assert life.code == 0 or (life.code == 1 and self.full), life.log

    @rule(at=st.integers(1, 120))
    def killed_at_a_point(self, at: int) -> None:
        self._live(Ending(at=at, when=self._is_done_or_stuck(), clock_s=self.clock_s))

    @rule(after_ms=st.integers(50, 500))
    def killed_at_a_moment(self, after_ms: int) -> None:
        self._live(Ending(after_s=after_ms / 1000, clock_s=self.clock_s))

    @rule(mode=st.sampled_from(MODES))
    def crossing(self, mode: Mode) -> None:
        self.world.crossing.mode = mode

    @rule()
    def disk_is_full(self) -> None:
        if not self.mounted:
            return
        found = os.statvfs(self.disk)
        (self.disk / "ballast").write_bytes(bytes(max(0, found.f_bavail * found.f_frsize - ROOM)))
        self.full = True

    @rule()
    def there_is_room(self) -> None:
        (self.disk / "ballast").unlink(missing_ok=True)
        self.full = False

    @rule(years=st.sampled_from([-30, -1, 0, 10]), seconds=st.integers(-100, 100))
    def clock_jumps(self, years: int, seconds: int) -> None:
        self.clock_s = years * YEAR_S + seconds

    @rule(begun=st.booleans())
    def output_is_rotated(self, begun: bool) -> None:  # noqa: FBT001 - drawn by name
        """By another program, which may begin a new file."""
        if not self.output.exists():  # no precondition: what is drawn must not depend on it
            return
        self.rotated += 1
        self.output.rename(self.output.with_name(f"out.jsonl.{self.rotated}"))
        if begun:
            self.output.touch()

    @rule(number=st.integers(1, 40), look=st.integers(1, 10))
    def output_is_rotated_meanwhile(self, number: int, look: int) -> None:
        looks = 0

        def meanwhile() -> None:
            nonlocal looks
            looks += self.output.exists()
            if looks == look:
                self.output_is_rotated(begun=False)
                looks += 1

        self.rows_come(number)
        ending = Ending(when=self._is_done_or_stuck(), meanwhile=meanwhile, clock_s=self.clock_s)
        assert self._live(ending).code == 0 or self.full

    def teardown(self) -> None:
        """All is well again, and then all is there."""
        try:
            self.world.crossing.mode = "open"
            self.there_is_room()
            self.clock_s = 0
            self.rows_come(1)  # after all that the broker may deliver again
            life = self._live(Ending(when=self._is_done_or_stuck()))
            assert life.code == 0, life.log
            wanted = Counter((f"m{i % 3}", (T0 + i) * 10**9) for i in range(self.rows))
            assert self._lines() == wanted, life.log
            assert self._points() == wanted, life.log
        finally:
            self._stack.close()
            shutil.rmtree(self.folder)

    def _live(self, ending: Ending) -> Life:
        life = self.world.lives.live(self.folder, self.words, ending, numbers=NUMBERS)
        assert life.code in (0, 1, KILLED), life.log
        self.world.counted[str(life.code)] += 1
        return life

    def _is_done_or_stuck(self) -> Any:
        looks = 0

        def when() -> bool:
            nonlocal looks
            looks += self.full or self.world.crossing.mode != "open"
            return looks > LOOKS or (self._lines().total() >= self.rows <= self._points().total())

        return when

    def _lines(self) -> Counter[tuple[str, int]]:
        found: Counter[tuple[str, int]] = Counter()
        for path in self.disk.glob("out.jsonl*"):
            whole = path.read_bytes().rpartition(b"\n")[0]
            documents = (json.loads(line) for line in whole.splitlines())
            found.update((each["machine_id"], parse_time(each["time"], 0)) for each in documents)
        return found

    def _points(self) -> Counter[tuple[str, int]]:
        found: Counter[tuple[str, int]] = Counter()
        for series in query(self.results, "SELECT verdict, machine_id FROM anomaly"):
            at, machine = series.columns.index("time"), series.columns.index("machine_id")
            found.update((row[machine], row[at]) for row in series.values)
        return found


def test_killed_or_hindered_in_any_order_each_row_arrives_exactly_once(
    influxd: Influxd, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    with Lives(tmp_path / "state") as lives:
        world = World(tmp_path, influxd, mosquitto, lives)

        class Machine(Delivery):
            pass

        Machine.world = world
        with world.crossing:
            run_state_machine_as_test(
                Machine,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    derandomize=True,
                    database=None,
                    deadline=None,
                    phases=[Phase.generate, Phase.shrink] if SOAK else [Phase.generate],
                    suppress_health_check=list(HealthCheck),
                ),
            )
        world.publisher.disconnect()
        world.publisher.loop_stop()
        assert lives.peak_mb < MAX_MB
        print(f"\nends of lives, by exit code: {dict(world.counted)}")  # noqa: T201
        assert world.counted["0"]
        assert world.counted[str(KILLED)]
