"""MLflow's store on its first run: ended at any moment of it, or made by two at once, and the next one works.

Moments are counted in calls of Python functions, so that they are the same however busy the machine is.
`make soak` ends eighty starts and doubles fifty; `make test` does a few.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.starters import Starters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOAK = bool(os.environ.get("EDGE_DETECT_SOAK"))
KILLS, DOUBLED = (20, 50) if SOAK else (1, 1)  # by each signal, and pairs
CODES = {signal.SIGKILL: -signal.SIGKILL, signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(scope="module")
def starters() -> Iterator[Starters]:
    with Starters() as found:
        yield found


def start(path: Path, at: int | None = None, number: int = 0, calls: str = "") -> dict[str, Any]:
    return {"uri": f"sqlite:///{path}", "at": at, "signal": int(number), "calls": calls}


def states(path: Path) -> list[str]:
    """Of the runs in a store, which is whole and beside which nothing is left."""
    assert [one.name for one in path.parent.iterdir() if one.name != "mlruns"] == [path.name]
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert store.execute("SELECT COUNT(*) FROM alembic_version").fetchall() == [(1,)]
        return [status for (status,) in store.execute("SELECT status FROM runs ORDER BY start_time")]


@pytest.fixture(scope="module")
def calls(starters: Starters, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many calls a first start is."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "store").mkdir()
    assert starters.run(start(folder / "store" / "m.db", calls=str(folder / "calls"))) == [0]
    assert states(folder / "store" / "m.db") == ["FINISHED"]
    return int((folder / "calls").read_text(encoding="utf-8"))


@pytest.mark.parametrize("number", list(CODES))
def test_a_first_start_that_is_killed_leaves_a_store_that_the_next_one_uses(
    starters: Starters, calls: int, tmp_path: Path, number: signal.Signals
) -> None:
    chosen = random.Random(f"first {number.name}")  # noqa: S311 - for moments, not for secrets
    for case in range(KILLS):
        folder = tmp_path / str(case)
        folder.mkdir()
        at = chosen.randrange(1, calls)
        # Before and after what it records, a signal ends it as it ends any process.
        assert starters.run(start(folder / "m.db", at, number))[0] in {CODES[number], -number}, at
        assert starters.run(start(folder / "m.db")) == [0], at
        *before, last = states(folder / "m.db")
        assert last == "FINISHED", at
        allowed = {"RUNNING"} if number == signal.SIGKILL else {"KILLED"}
        assert set(before) <= {"FINISHED", *allowed}, (at, before)


def test_starts_at_once_all_work_though_one_is_killed(starters: Starters, calls: int, tmp_path: Path) -> None:
    chosen = random.Random("doubled")  # noqa: S311
    for case in range(DOUBLED):
        folder = tmp_path / str(case)
        folder.mkdir()
        path = folder / "m.db"
        assert starters.run(start(path), start(path)) == [0, 0]
        assert states(path) == ["FINISHED"] * 2
        path.unlink()
        at = chosen.randrange(1, calls)
        # The one that waits for the other makes nothing, and may come to its end before that moment.
        first, second = starters.run(start(path, at, signal.SIGKILL), start(path))
        assert first in {-signal.SIGKILL, 0}, at
        assert second == 0, at
        # That moment may also lie between the record of its end and its end.
        assert states(path).count("FINISHED") in ((2,) if first == 0 else (1, 2))
        assert starters.run(start(path)) == [0], at
