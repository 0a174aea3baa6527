"""What became of a database's rows: against counts made one row at a time."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.influxdb.rows import Rows, whole_rows
from edge_runtime.influxdb.series import SeriesOf
from edge_runtime.records import Readings
from trainer.prepare.account import ReadAccount

if TYPE_CHECKING:
    from collections.abc import Sequence

SENSORS = ("a", "b")
NAN = float("nan")


def block(
    rows: Sequence[tuple[int, str, tuple[float, ...]]],
    *,
    conflicts: list[int] | None = None,
    unreadable: list[list[bool]] | None = None,
) -> Rows:
    """Rows of time, machine and values."""
    times, machines, values = zip(*rows, strict=True)
    return Rows(
        Readings(np.array(machines), np.array(times, np.int64), np.array(values, np.float32)),
        None if unreadable is None else np.array(unreadable),
        None if conflicts is None else np.array(conflicts),
    )


@pytest.mark.parametrize("seed", range(10))
def test_all_rows_are_counted_however_they_are_divided(seed: int) -> None:
    numbers = random.Random(seed)  # noqa: S311 - nothing secret
    points = sorted(
        (numbers.randrange(40), machine, host, tuple(numbers.choice([NAN, 1.0, 2.0]) for _ in SENSORS))
        for machine in ("m", "n")
        for host in range(3)
        for _ in range(30)
    )
    # A series has one point a time.
    points = [*{point[:3]: point for point in points}.values()]
    account = ReadAccount(SENSORS)
    tags: list[tuple[str, ...]] = [("0",), ("1",), ("2",)]
    size = numbers.choice([1, 5, 1000])
    parts = (points[i : i + size] for i in range(0, len(points), size))
    found = list(
        whole_rows(
            Rows(
                block([(time, machine, values) for time, machine, _, values in part]).readings,
                series=SeriesOf(tags, np.array([host for _, _, host, _ in part], np.intp)),
            )
            for part in parts
        )
    )
    for rows in found:
        account.add(rows)
    read = Counter(machine for _, machine, _, _ in points)
    taken = Counter(machine for machine, _ in {(machine, time) for time, machine, _, _ in points})
    for name in ("m", "n"):
        one = account.machines[name]
        assert (one.read, one.taken) == (read[name], taken[name])
        values = np.concatenate([rows.readings.values[rows.readings.machines == name] for rows in found])
        assert one.readings.tolist() == np.isfinite(values).sum(0).tolist()
        assert one.complete == np.isfinite(values).all(1).sum()
    assert account.total("read") == len(points)
    whole = account.to_dict()
    assert whole["read"] == whole["taken"] + whole["merged"] + whole["repeated"] + whole["conflicting"]


def test_the_first_contradiction_and_the_texts_of_each_machine_are_kept() -> None:
    account = ReadAccount(SENSORS)
    rows = [(1, "m", (1.0, NAN)), (2, "m", (1.0, 1.0)), (2, "n", (1.0, 1.0)), (3, "m", (NAN, 1.0))]
    texts = [[False, True], [False, False], [False, False], [False, False]]
    account.add(block(rows, conflicts=[0, 2, 0, 1], unreadable=texts))
    account.add(block([(4, "n", (1.0, 1.0))], conflicts=[1]))
    assert (account.machines["m"].conflict_ns, account.machines["n"].conflict_ns) == (2, 4)
    assert (account.machines["m"].conflicting, account.machines["n"].conflicting) == (3, 1)
    assert account.unreadable() == {"b": 1}
    assert account.to_dict()["machines"]["m"]["missing"] == {"a": 1, "b": 1}


def test_no_more_machines_are_named_than_can_be_read() -> None:
    account = ReadAccount(SENSORS)
    account.add(block([(1, f"m{i:02}", (1.0, NAN)) for i in range(20)]))
    (said,) = account.lacking()
    assert "from m00 (1 row), m01 (1 row), " in said
    assert "m11 (1 row) and 8 more machines: choose other sensors" in said
    assert account.never_read() == ["b"]
    assert ReadAccount(SENSORS).never_read() == []
