"""`kill -9` at each commit, write, sync, post, acknowledgement, and at random: each row arrives exactly once.

Killed again and again, on every way from a source to a sink. What each source promises is in its guarantee. A
pipe on standard input cannot go back; a file there is read from its start again, and its rows that are not
newer than what was committed of their machine are skipped: here each machine's times rise, so none is lost.
`make soak` passes every point there is, a thousand kills; `make test` some of them.
"""

from __future__ import annotations

import os
import random
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING

import pytest
from support.lives import KILLED, Lives
from support.routes import ROUTES, Plants, Route

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from influxd import Influxd
    from mosquitto import Mosquitto

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
KILLS = 120 if SOAK else 2  # on each way, at numbered points and then at random
IN_ONE_CASE = 3
MAX_MB = 150
SINK_POINTS = {
    "influx": {"before answer", "after answer"},
    "jsonl": {"within write", "after fsync"},
    "jsonl, rotated": {"within write", "after fsync", "before replace", "after replace"},
}


@pytest.fixture(scope="module")
def plants(
    tmp_path_factory: pytest.TempPathFactory, influxd: Influxd, mosquitto: Mosquitto
) -> Iterator[Plants]:
    folder = tmp_path_factory.mktemp("plants")
    with Lives(folder / "state") as lives, closing(Plants(folder, influxd, mosquitto, lives)) as found:
        yield found


@pytest.mark.parametrize(("source", "sink"), ROUTES)
def test_killed_at_any_point_each_row_arrives_exactly_once(
    plants: Plants, tmp_path: Path, source: str, sink: str
) -> None:
    chosen = random.Random(f"{source} {sink}")  # noqa: S311 - for moments, not for secrets
    kills, cases = 0, count()

    def case() -> Route:
        folder = tmp_path / str(next(cases))
        folder.mkdir()
        return Route(plants, source, sink, folder)

    passed = case().live()
    assert passed.code == 0, passed.log
    names = set(passed.points)
    assert {"before commit", "after commit"} < names
    assert SINK_POINTS[sink] < names
    assert source[:4] != "mqtt" or "before acknowledgement" in names

    numbered = count(1) if SOAK else iter(chosen.sample(range(1, len(passed.points)), 1))
    for number in numbered:
        route = case()
        life = route.live(at=number)
        if life.code != KILLED:  # it has no such point
            assert life.code == 0, life.log
            route.check()
            break
        kills += 1
        assert len(life.points) >= number
        end = route.live()
        assert end.code == 0, end.log
        route.check()

    while kills < KILLS:
        route = case()
        for _ in range(min(IN_ONE_CASE, KILLS - kills)):
            if chosen.random() < 0.5:
                life = route.live(at=chosen.randrange(1, max(2, len(passed.points) // 2)))
            else:
                life = route.live(after_s=chosen.uniform(0.05, 0.3))
            assert life.code in (KILLED, 0), life.log
            kills += life.code == KILLED
        end = route.live()
        assert end.code == 0, end.log
        route.check()
    print(f"\n{source} to {sink}: {kills} kills, {len(passed.points)} points in a life")  # noqa: T201
    assert plants.lives.peak_mb < MAX_MB
