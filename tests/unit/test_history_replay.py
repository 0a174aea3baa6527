"""Stored rows are judged a second time exactly as they were judged the first time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_bundle
from support.pasts import START, Past, assert_same_rows, simulated, small_blocks

from edge_runtime import load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold
from edge_runtime.errors import UsageError
from edge_runtime.history.columns import SEVERITY_ERROR
from edge_runtime.history.reading import reading_history
from edge_runtime.history.recent import recent_of
from edge_runtime.history.replay import replayed
from edge_runtime.history.rows import Rows
from edge_runtime.records import COMPLETE, Reason, Results, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime import Bundle
    from edge_runtime.engine.judged import Judged

EVER = 2**62


@pytest.fixture(scope="module")
def default() -> Bundle:
    return load_bundle(None)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Without sensor status, with a memory, a debounce and a hold."""
    path = make_bundle(
        tmp_path_factory.mktemp("plain"),
        smooth=5,
        debounce=Debounce(2, 3),
        hold=Hold(rise=2.0, fall=1.0, cap=6.0, level=1.0),
    )
    return load_bundle(path)


def as_rows(judged: list[Judged]) -> Rows:
    results = Results.joined([one.results for one in judged])
    return recent_of(results, np.zeros(len(results), np.int32), 0).rows


def troubled(path: Path, bundle: Bundle, rows: int = 2600) -> Past:
    """Several machines, missing readings, late and repeated rows, restarts and crashes at random places."""
    past, random = Past(path, bundle), np.random.default_rng(5)
    readings, place = simulated(3, rows, missing=0.01), 0
    while place < len(readings):
        count, again = random.integers(1, 300), random.integers(0, 9)
        past.take(
            readings.take(slice(max(0, place - int(again)), place + int(count))), crash=random.random() < 0.08
        )
        place += int(count)
        if random.random() < 0.15:
            past.restart()
    past.history.close()
    assert past.said == []
    return past


@pytest.mark.parametrize("kind", ["default", "plain"])
def test_what_comes_out_again_is_what_was_stored(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch)
    bundle: Bundle = request.getfixturevalue(kind)
    past, random = troubled(tmp_path / "history", bundle), np.random.default_rng(3)
    with reading_history(past.path) as reader:
        for machine, wanted in past.rows().items():
            stored = list(reader.rows(machine, 0, EVER))
            assert len(stored) > 6
            kept = Rows.joined([part.rows for part in stored])
            assert_same_rows(kept, wanted, SEVERITY_ERROR)
            assert {Verdict.NORMAL, Verdict.ANOMALY, Verdict.UNKNOWN} == set(kept.verdicts.tolist())
            if kind == "default":
                assert (kept.degraded != COMPLETE).sum() > 200
                assert {Reason.MISSING, Reason.FLAT} <= set(kept.faults.ravel().tolist())
            assert_same_rows(
                as_rows(list(replayed(reader, bundle, machine, 0, EVER))), wanted, SEVERITY_ERROR
            )
            for first in random.integers(1, len(wanted) - 1, 8).tolist():
                last = min(len(wanted) - 1, first + int(random.integers(1, 900)))
                times = wanted.times[first], wanted.times[last]
                judged = list(replayed(reader, bundle, machine, *map(int, times)))
                assert_same_rows(as_rows(judged), wanted.take(slice(first, last)), SEVERITY_ERROR)
                expected = np.concatenate([one.results.scores.expected for one in judged])
                known = as_rows(judged).verdicts != Verdict.UNKNOWN
                assert np.isfinite(expected[known]).all()


def test_expected_values_are_those_of_the_first_time(
    plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch)
    past, readings = Past(tmp_path / "history", plain), simulated(1, 1000)
    for start in range(0, 1000, 90):
        past.take(readings.take(slice(start, start + 90)))
    past.history.close()
    first = Results.joined(past.judged)
    with reading_history(past.path) as reader:
        again = list(replayed(reader, plain, "press-1", int(first.readings.times[777]), EVER))
    joined = Results.joined([one.results for one in again])
    np.testing.assert_allclose(joined.scores.expected, first.scores.expected[777:], rtol=1e-5)
    np.testing.assert_allclose(joined.scores.errors, first.scores.errors[777:], rtol=1e-4, atol=1e-7)


def test_rows_that_are_missing_make_no_difference_after_the_next_state(
    default: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut took some from the history; the ledger forgot all; and another history begins beside it."""
    small_blocks(monkeypatch)
    readings = simulated(2, 1500, missing=0.01)
    past = Past(tmp_path / "history", default)
    past.take(readings.take(slice(0, 700)))
    past.take(readings.take(slice(700, 1100)), lost=True)
    past.take(readings.take(slice(1100, 1500)))
    past.forget()
    past.take(readings.take(slice(1500, 2000)))
    past.history.close()
    wanted = past.rows()
    with reading_history(past.path) as reader:
        for machine, rows in wanted.items():
            for start in (0, int(rows.times[390]), int(rows.times[-100])):
                found = as_rows(list(replayed(reader, default, machine, start, EVER)))
                assert_same_rows(found, rows.take(rows.times >= start), SEVERITY_ERROR)
    past.judged.clear()
    (tmp_path / "history").unlink()
    past.restart()
    past.take(readings.take(slice(2000, 3000)))
    past.history.close()
    with reading_history(past.path) as reader:
        for machine, rows in past.rows().items():
            found = as_rows(list(replayed(reader, default, machine, 0, EVER)))
            assert_same_rows(found, rows, SEVERITY_ERROR)


def test_rows_of_another_bundle_are_refused_and_their_own_are_not(
    default: Bundle, plain: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_blocks(monkeypatch)
    readings = simulated(1, 900)
    past = Past(tmp_path / "history", default)
    for start, bundle in ((0, plain), (300, default), (600, default)):
        past.take(readings.take(slice(start, start + 300)))
        past.restart(bundle)
    past.history.close()
    (rows,) = past.rows().values()
    swaps = [START, *(int(rows.times[place]) for place in (300, 600)), EVER]
    with reading_history(past.path) as reader:
        assert [part.bundle for part in reader.rows("press-1", 0, EVER)] == [
            default.digest,
            plain.digest,
            default.digest,
        ]
        for number, (own, other) in enumerate([(default, plain), (plain, default), (default, plain)]):
            times = swaps[number], swaps[number + 1]
            found = as_rows(list(replayed(reader, own, "press-1", *times)))
            wanted = rows.take(slice(300 * number, 300 * number + 300))
            assert_same_rows(found, wanted, SEVERITY_ERROR)
            with pytest.raises(UsageError, match=f"judged by another bundle, {own.digest}; give that one"):
                list(replayed(reader, other, "press-1", *times))
        assert list(replayed(reader, default, "nobody", 0, EVER)) == []
        assert list(replayed(reader, default, "press-1", EVER, EVER + 1)) == []
