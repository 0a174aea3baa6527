"""The debounce, in the runtime, in the bundle, and as a false-alarm budget chooses it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.bundles import make_bundle, make_checkpoint, normal_rows
from support.stages import hand_over, taken

from edge_runtime import Engine, Readings, load_bundle
from edge_runtime.bundle.metadata import Debounce, Hold, Metadata, Threshold
from edge_runtime.engine.hysteresis import Debouncer
from edge_runtime.engine.stage import StageState
from edge_runtime.errors import BundleFormatError, TrainingError
from edge_runtime.records import Groups
from trainer.calibration.budget import AlarmBudget
from trainer.calibration.calibrate import verdicts
from trainer.calibration.debounce import ScoredRows, choose_debounce, kth_largest
from trainer.data.stretches import ALARM_JOIN_NS, stretches
from trainer.experiment.checkpoint import Checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SECOND = 1_000_000_000
DAY = 86_400
DEBOUNCES = [Debounce(1, 1), Debounce(1, 3), Debounce(2, 3), Debounce(3, 5), Debounce(5, 8), Debounce(4, 4)]


def by_definition(above: list[bool], debounce: Debounce) -> list[bool]:
    return [sum(above[max(0, row + 1 - debounce.n) : row + 1]) >= debounce.k for row in range(len(above))]


@pytest.mark.parametrize("debounce", DEBOUNCES, ids=str)
def test_blocks_of_any_size_and_mix_equal_the_definition(debounce: Debounce) -> None:
    random = np.random.default_rng(1)
    machines = random.choice(["press", "lathe", "mill"], 2000)
    above = random.random(2000) < 0.45
    wanted = np.empty(2000, np.bool_)
    for machine in ("press", "lathe", "mill"):
        wanted[machines == machine] = by_definition(above[machines == machine].tolist(), debounce)
    debouncer, found, start = Debouncer(debounce), [], 0
    while start < len(above):
        stop = start + int(random.integers(1, 12))
        found += debouncer.apply(Groups.of(machines[start:stop]), above[start:stop]).tolist()
        start = stop
    assert found == wanted.tolist()
    assert 0 < sum(found) < len(found)


def test_the_state_goes_on_in_another_process() -> None:
    random = np.random.default_rng(2)
    machines, above = random.choice(["a", "b"], 200), random.random(200) < 0.5
    whole = Debouncer(Debounce(3, 5)).apply(Groups.of(machines), above)
    first, second = Debouncer(Debounce(3, 5)), Debouncer(Debounce(3, 5))
    head = first.apply(Groups.of(machines[:77]), above[:77])
    hand_over(first, second)
    assert (
        np.concatenate([head, second.apply(Groups.of(machines[77:]), above[77:])]).tolist() == whole.tolist()
    )
    first.apply(Groups.of(np.array(["a"])), np.array([True]))
    with pytest.raises(ValueError, match="not 2 rows"):
        hand_over(first, Debouncer(Debounce(2, 3)))


def test_without_one_every_row_passes_as_it_is_and_nothing_is_kept() -> None:
    above = np.array([True, False])
    debouncer = Debouncer(None)
    assert debouncer.apply(Groups.of(np.array(["a", "a"])), above) is above
    assert taken(debouncer) == {}


def test_a_state_is_taken_away_when_no_row_above_is_left() -> None:
    debouncer = Debouncer(Debounce(1, 2))
    debouncer.apply(Groups.of(np.array(["a", "b"])), np.array([True, False]))
    assert taken(debouncer) == {"a": "1"}
    assert taken(debouncer) == {}
    debouncer.apply(Groups.of(np.array(["a", "b"])), np.array([False, False]))
    assert taken(debouncer) == {"a": None}


@pytest.mark.parametrize("wrong", ["1", "10x", 5, None, ["1", "0"]])
def test_what_is_no_state_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="not 2 rows"):
        Debouncer(Debounce(2, 3)).restore("a", wrong, 1)


@pytest.mark.parametrize(("k", "n"), [(0, 3), (4, 3), (-1, 1), (1, 5000)])
def test_a_debounce_that_makes_no_sense_is_refused(k: int, n: int) -> None:
    with pytest.raises(BundleFormatError, match="a debounce needs 1 <= k <= n"):
        Debounce(k, n)


def test_a_bundle_without_one_says_nothing_of_it_and_one_with_it_is_read_back(tmp_path: Path) -> None:
    plain = load_bundle(make_bundle(tmp_path, "plain.onnx")).metadata
    assert "debounce" not in plain.to_json()
    assert plain.threshold.debounce is None
    bundle = load_bundle(make_bundle(tmp_path, "with.onnx", debounce=Debounce(3, 5)))
    assert bundle.metadata.threshold.debounce == Debounce(3, 5)
    document = json.loads(bundle.metadata.to_json())
    assert document["threshold"]["debounce"] == {"k": 3, "n": 5}
    for wrong, message in (
        ({"k": 3}, r"missing.*threshold\.debounce\.n|threshold\.debounce\.n.*missing"),
        ({"k": 3, "n": 5, "m": 1}, "unknown field"),
        ({"k": 3.5, "n": 5}, r"threshold\.debounce\.k"),
        ({"k": 6, "n": 5}, "a debounce needs"),
        ([3, 5], r"threshold\.debounce"),
    ):
        document["threshold"]["debounce"] = wrong
        with pytest.raises(BundleFormatError, match=message):
            Metadata.from_json(json.dumps(document))


def test_a_checkpoint_keeps_it_and_one_from_before_has_none(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "c", debounce=Debounce(2, 3))
    assert Checkpoint.load(folder).threshold.debounce == Debounce(2, 3)
    threshold = json.loads((folder / "threshold.json").read_text())
    del threshold["debounce"]
    (folder / "threshold.json").write_text(json.dumps(threshold))
    assert Checkpoint.load(folder).threshold.debounce is None


def feed(rows: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Normal rows of two machines in turns, with rows far off now and then, and some that are missing."""
    random = np.random.default_rng(seed)
    values = normal_rows(rows, seed=seed)
    values[random.random(rows) < 0.3] *= 3
    values[random.random(rows) < 0.1] = np.nan
    return values, random.choice(["press", "lathe"], rows)


@pytest.mark.parametrize("hold", [Hold(), Hold(rise=1, fall=1, cap=4, level=2)], ids=str)
def test_the_gateway_and_the_trainer_give_equal_verdicts_block_by_block(tmp_path: Path, hold: Hold) -> None:
    path = make_bundle(tmp_path, hold=hold, debounce=Debounce(2, 3), per_machine={"lathe": 1.5}, smooth=3)
    values, machines = feed(600, 4)
    times = np.arange(600, dtype=np.int64) * SECOND
    engine, found, scores, start = Engine(load_bundle(path)), [], [], 0
    random = np.random.default_rng(5)
    while start < 600:
        stop = start + int(random.integers(1, 30))
        part = slice(start, stop)
        results = engine.feed(Readings(machines[part], times[part], values[part])).results
        found.append(results.verdicts)
        scores.append(results.scores.score)
        if start < 300 <= stop:  # the gateway is restarted
            states = json.loads(json.dumps(engine.changes()))
            engine = Engine(load_bundle(path))
            assert engine.restore(StageState(*state) for state in states) == []
        start = stop
    verdict, score = np.concatenate(found), np.concatenate(scores)
    known = np.isfinite(score)
    assert 400 < known.sum() < 600
    threshold = engine.bundle.metadata.threshold
    wanted = verdicts(score[known], threshold, times[known], machines[known])
    assert verdict[known].astype(bool).tolist() == wanted.tolist()
    plain = verdicts(score[known], replace(threshold, debounce=None), times[known], machines[known])
    assert 0 < wanted.sum() < plain.sum()


@pytest.mark.parametrize("debounce", DEBOUNCES, ids=str)
def test_a_debounced_alarm_is_an_exceedance_of_the_order_statistic(debounce: Debounce) -> None:
    random = np.random.default_rng(6)
    scores = random.gamma(2.0, 1.0, 3000).astype(np.float32)
    machines, times = random.choice(["a", "b"], 3000), random.permutation(3000).astype(np.int64)
    series = kth_largest(scores, times, machines, debounce)
    for value in (0.5, 2.0, 4.0):
        threshold = Threshold(value, "false_alarms", None, None, 3000, debounce=debounce)
        assert (series > value).tolist() == verdicts(scores, threshold, times, machines).tolist()
    assert (~np.isfinite(series)).sum() == 2 * (debounce.k - 1)
    assert kth_largest(scores[:0], times[:0], machines[:0], debounce).shape == (0,)


def validation(seed: int, days: float, *, spikes: float = 0.0, labelled: bool = False) -> ScoredRows:
    """Normal rows, some of them lone spikes; where labelled, with long, low anomalies."""
    random = np.random.default_rng(seed)
    rows = int(days * DAY)
    scores = random.gamma(4.0, 0.25, rows)
    lone = random.random(rows) < spikes
    scores[lone] += random.gamma(2.0, 3.0, int(lone.sum()))
    normal = np.ones(rows, np.bool_)
    if labelled:
        normal = (np.arange(rows) // 120) % 50 != 7
        scores[~normal] += 4.0
    times = np.arange(rows, dtype=np.int64) * SECOND
    return ScoredRows(scores.astype(np.float32), times, np.full(rows, "m"), normal)


def test_without_labels_every_row_counts_by_itself_unless_a_debounce_is_asked_for() -> None:
    budget = AlarmBudget.parse("1/day")
    spiky = validation(7, 1, spikes=0.003)
    plain = spiky.budget_threshold(None, budget, seed=0)
    assert choose_debounce(spiky, budget, Hold(), seed=0) == (None, plain)
    debounce, found = choose_debounce(spiky, budget, Hold(), seed=0, wanted=Debounce(2, 3))
    assert debounce == Debounce(2, 3)
    assert found.value < 0.6 * plain.value
    assert choose_debounce(spiky, budget, Hold(), seed=0, wanted=Debounce(1, 1)) == (None, plain)


def test_the_debounce_is_chosen_before_the_rows_that_its_threshold_comes_from() -> None:
    budget = AlarmBudget.parse("1/day")
    rows = validation(7, 2, spikes=0.003, labelled=True)
    machines = np.array(["a", "b"])[np.random.default_rng(0).integers(0, 2, len(rows.scores))]
    rows = replace(rows, machines=machines)
    earlier, later = rows.halves()
    assert abs(len(earlier.scores) - len(later.scores)) <= 2
    for machine in ("a", "b"):
        assert earlier.times[earlier.machines == machine].max() < later.times[later.machines == machine].min()
    debounce, found = choose_debounce(rows, budget, Hold(), seed=0)
    assert debounce is not None
    assert found == later.budget_threshold(debounce, budget, seed=0)
    # Later rows do not decide which one, earlier ones not the threshold.
    upper = np.isin(rows.times, later.times)
    louder = replace(rows, scores=np.where(upper, 2 * rows.scores, rows.scores).astype(np.float32))
    again, doubled = choose_debounce(louder, budget, Hold(), seed=0)
    assert again == debounce
    assert doubled.value == pytest.approx(2 * found.value)


def test_where_half_of_the_rows_are_too_few_every_row_counts_by_itself() -> None:
    budget, rows = AlarmBudget.parse("1/day"), validation(7, 0.05, spikes=0.003)
    plain = rows.budget_threshold(None, budget, seed=0)
    with pytest.raises(TrainingError):
        rows.halves()[0].budget_threshold(None, budget, seed=0)
    assert choose_debounce(rows, budget, Hold(), seed=0) == (None, plain)


def test_with_labels_the_best_f1_on_validation_decides() -> None:
    budget, hold = AlarmBudget.parse("1/day"), Hold()
    whole = validation(9, 2, spikes=0.003, labelled=True)
    rows = whole.halves()[0]

    def f1(debounce: Debounce | None) -> float:
        found = rows.budget_threshold(debounce, budget, seed=0)
        threshold = Threshold(found.value, "false_alarms", None, None, found.rows, hold, debounce=debounce)
        flags = verdicts(rows.scores, threshold, rows.times, rows.machines)
        return 2 * float((flags & ~rows.normal).sum()) / float(flags.sum() + (~rows.normal).sum())

    chosen, _ = choose_debounce(whole, budget, hold, seed=0)
    figures = {one: f1(one) for one in (None, Debounce(2, 3), Debounce(3, 5), Debounce(5, 8))}
    assert chosen == max(figures, key=lambda one: figures[one])
    assert figures[chosen] > figures[None] + 0.2


def test_what_the_budget_promises_is_what_then_happens() -> None:
    budget = AlarmBudget.parse("2/day")
    inside, realised = [], []
    for run in range(12):
        debounce, found = choose_debounce(
            validation(run, 2, spikes=0.003), budget, Hold(), seed=run, wanted=Debounce(2, 3)
        )
        later = validation(1000 + run, 1, spikes=0.003)
        threshold = Threshold(found.value, "false_alarms", None, None, found.rows, debounce=debounce)
        flags = verdicts(later.scores, threshold, later.times, later.machines)
        alarms = len(stretches(later.times, later.machines, flags, join_ns=ALARM_JOIN_NS))
        realised.append(alarms)
        inside.append(found.low <= alarms <= found.high)
    assert np.mean(inside) >= 0.75
    assert 0.5 <= np.mean(realised) <= 5


def test_rows_near_an_anomaly_are_not_what_the_threshold_is_chosen_on() -> None:
    budget, rows = AlarmBudget.parse("1/day"), validation(10, 1, labelled=True)
    # Whatever holds the score up goes on for some rows after the label's end.
    after = np.convolve(~rows.normal, np.ones(20), "full")[: len(rows.scores)] > 0
    held = replace(rows, scores=np.where(after & rows.normal, 8.0, rows.scores).astype(np.float32))
    wanted = rows.budget_threshold(None, budget, seed=0)
    found = held.budget_threshold(None, budget, seed=0)
    assert found.value == pytest.approx(wanted.value, rel=0.01)
    # 30 s on both sides of each event are neither time nor alarms.
    events = len(stretches(rows.times, rows.machines, ~rows.normal))
    assert found.rows == rows.normal.sum() - 60 * events


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(TrainingError, match="too few for a budget of 1/day"):
        choose_debounce(validation(1, 0.001), AlarmBudget.parse("1/day"), Hold(), seed=0)
