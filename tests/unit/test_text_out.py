"""Numbers, times and rows as text: exact, and the same whether a few or thousands are written at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_runtime.records import Readings, Reason, Results, Scores, Verdict
from edge_runtime.sinks import rows as rows_module
from edge_runtime.sinks.rows import json_lines
from edge_runtime.text.decimals import decimal_words, decimals
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

SENSORS = ("temperature", 'a "name", 100 %')


def some_numbers() -> NDArray[np.float32]:
    random = np.random.default_rng(1)
    with np.errstate(all="ignore"):
        return np.concatenate(
            [
                random.uniform(-100, 300, 20_000),
                np.round(random.uniform(-1e4, 1e4, 20_000), 2),
                10.0 ** random.uniform(-6, 9, 20_000),
                10.0 ** np.arange(-12, 12),
                2.0 ** np.arange(-30, 30),
                random.integers(0, 2**32, 50_000).astype(np.uint32).view(np.float32).astype(np.float64),
                [0.0, -0.0, np.nan, np.inf, -np.inf, 999_999.94, 1e6, 1e-4, 0.99999994],
            ]
        ).astype(np.float32)


def test_columns_of_numbers_are_the_shortest_decimals_that_give_the_float32_back() -> None:
    numbers = some_numbers()
    texts = [bytes(row).replace(b"\0", b"").decode() for row in decimal_words(numbers, "null")]
    assert texts == decimals(numbers, "null")
    finite = np.isfinite(numbers)
    read = np.array([text for text, ok in zip(texts, finite, strict=True) if ok], np.float64)
    np.testing.assert_array_equal(read.astype(np.float32), numbers[finite])
    assert {text for text, ok in zip(texts, finite, strict=True) if not ok} == {"null"}


def results(rows: int) -> Results:
    random = np.random.default_rng(rows)
    numbers = random.choice(some_numbers(), (rows, 3 * len(SENSORS) + 2))
    verdicts = random.choice(np.array(list(Verdict), np.int8), rows)
    times = random.integers(-(10**18), 4 * 10**18, rows)
    times[::3] -= times[::3] % 10**9
    return Results(
        Readings(random.choice(["press-1", 'p"2', "é漢"], rows), times, numbers[:, :2]),
        Scores(numbers[:, 2], numbers[:, 4:6], numbers[:, 6:8]),
        numbers[:, 3],
        verdicts,
        np.where(verdicts == Verdict.UNKNOWN, Reason.MISSING, Reason.NONE).astype(np.int8),
    )


@pytest.mark.filterwarnings("ignore:invalid value")
def test_json_lines_are_the_same_a_few_or_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    block = results(1500)
    written = {}
    for few in (0, 10_000):
        monkeypatch.setattr(rows_module, "FEW_ROWS", few)
        written[few] = json_lines(block, SENSORS)
    assert written[0] == written[10_000]
    rows = [json.loads(line) for line in written[0].splitlines()]
    assert [row["time"] for row in rows] == list(map(format_time, block.readings.times.tolist()))
    assert [row["machine_id"] for row in rows] == block.readings.machines.tolist()
    assert [row["verdict"] for row in rows] == [Verdict(code).label for code in block.verdicts.tolist()]
    assert [row.get("reason") for row in rows] == [
        "missing" if code == Verdict.UNKNOWN else None for code in block.verdicts.tolist()
    ]
    for row, verdict, errors in zip(rows, block.verdicts.tolist(), block.scores.errors, strict=True):
        assert row.get("top_sensor") == (
            SENSORS[int(np.argmax(errors))] if verdict == Verdict.ANOMALY else None
        )
    found = np.array([[row["expected"][name] for name in SENSORS] for row in rows], np.float64)
    wanted = np.where(np.isfinite(block.scores.expected), block.scores.expected, np.nan)
    np.testing.assert_array_equal(found.astype(np.float32), wanted)
