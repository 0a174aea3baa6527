"""Whether a graph scores a row alike however its rows are cut into blocks.

A gateway scores one row at a time, a file in blocks of thousands. A graph whose outputs depend on the number
of rows in a call, on a row's place among them, or on the other rows, could pass its golden rows and be blind
in use. So rows are scored one by one, on the very path that `run` takes for one, and again in blocks of many
sizes, and all must agree. The same scores show whether the threshold means anything.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import default_rng  # imported at once: the trial can open no file later

from edge_runtime.errors import SelfTestError, counted
from edge_runtime.loading.samples import FAR, Series, half_ranges, sample_series
from edge_runtime.loading.selftest import run_graph, running
from edge_runtime.records import Scores
from edge_runtime.scoring.binding import OneRow
from edge_runtime.scoring.inference import CALL_ROWS, initial_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.bundle.metadata import Metadata

__all__ = ["RELATIVE", "check_cuts", "differences", "in_blocks", "one_by_one"]

# By how much a value may differ between two cuts, as a part of what `differences` measures it by. Blocks of
# other sizes add in another order: on x86-64, bundles of every kind differ by 3e-7 at most. The rest is room
# for other processors; beside a threshold, even a thousandth hides nothing.
RELATIVE = 1e-3
# Rows of a series one by one, and in small blocks; and so many at least, however slow the model is.
ROWS, SMALL_ROWS, LEAST_ROWS = 2048, 512, 128
# CPU time for the rows of a series one by one, of a model of which so many would take long.
ONE_BY_ONE_S = 0.08
# The pipeline commits up to 100 rows at once; files and backlogs are scored in calls of up to `CALL_ROWS`.
SMALL_CUTS, LARGE_CUTS, HALF_WAY = (2, 3, 5, 7), (64, 100, 333), 1024
WHERE = "rows in blocks"
HINT = "do not use it: what it finds depends on how many rows come at once"


def check_cuts(session: Any, metadata: Metadata) -> str:
    """Scores rows one by one and in blocks, from golden ones to random ones; returns what was found.

    Raises:
        SelfTestError: A row scores otherwise in another cut, or one within the training ranges does not
            score a number; or no row is below, or none above, the threshold.
    """
    scored: list[tuple[Series, Scores]] = []
    for series in sample_series(metadata, CALL_ROWS):
        alone = one_by_one(session, metadata, series.only(slice(0, ROWS)), ONE_BY_ONE_S)
        _check_numbers(series, alone)
        scored.append((series.only(slice(0, len(alone))), alone))
        _check_blocks(session, metadata, series, alone, whole=len(alone) == ROWS or len(scored) == 1)
    _check_threshold(metadata, scored)
    return f"{sum(len(alone) for _, alone in scored):,} rows in blocks of 1 to {CALL_ROWS:,}"


def _check_blocks(session: Any, metadata: Metadata, series: Series, alone: Scores, *, whole: bool) -> None:
    """A series in every cut against its first rows one by one; `whole` for its largest block, too."""
    usable = np.isfinite(alone.score)
    if metadata.model.state_shape is not None and not usable.all():
        # As the engine has it: a row that overflows leaves no trace in a memory, so the others are compared.
        kept = np.concatenate([usable, np.ones(len(series) - len(usable), np.bool_)])
        series, alone = series.only(kept), _of(alone, usable)
    rows, every = len(alone), len(series)
    for size in (*SMALL_CUTS, *LARGE_CUTS):
        if size <= rows:
            tried = min(rows, SMALL_ROWS) if size in SMALL_CUTS else rows
            blocks = in_blocks(session, metadata, series, [size] * (tried // size))
            _compare(metadata, series, alone, blocks, f"blocks of {size:,}")
    sizes = default_rng(1).integers(1, 201, rows).cumsum()
    blocks = in_blocks(session, metadata, series, np.diff(sizes[sizes < rows], prepend=0).tolist())
    _compare(metadata, series, alone, blocks, "blocks of 1 to 200")
    if whole:
        # So few blocks need not be compared one by one: they come out as their own first rows did.
        half_way = in_blocks(session, metadata, series, [HALF_WAY] * -(-every // HALF_WAY))
        _compare(metadata, series, alone, half_way, f"blocks of {HALF_WAY:,}")
        for name, cut in ((f"a block of {every:,}", [every]), (f"a block of {every - 1:,}", [1, every - 1])):
            _compare(metadata, series, half_way, in_blocks(session, metadata, series, cut), name)


def one_by_one(session: Any, metadata: Metadata, series: Series, seconds: float | None = None) -> Scores:
    """Each row by itself, as `run` does it; those that were done after so many seconds of CPU time.

    Raises:
        SelfTestError: The graph cannot be run.
    """
    model, sensors = metadata.model, len(metadata.sensors)
    scores = Scores.empty(len(series), sensors)
    with running():
        start = initial_state(model)
        columns = 0 if series.baseline is None else series.baseline[0].shape[1]
        one_row = OneRow(session, sensors, start, asks_for_time=model.time_of_day, columns=columns)
        if series.baseline is not None:
            one_row.give(*series.baseline)
        until = time.process_time() + (np.inf if seconds is None else seconds)
        for row in range(len(series)):
            part = slice(row, row + 1)
            moment = None if series.seconds is None else series.seconds[part]
            score = one_row.run(series.readings[part], moment)
            scores.put(part, one_row.copy())
            if start is not None and np.isfinite(score):
                one_row.step()
            if row + 1 >= LEAST_ROWS and not row % 64 and time.process_time() > until:
                return _of(scores, slice(0, row + 1))
    return scores


def in_blocks(session: Any, metadata: Metadata, series: Series, sizes: Sequence[int]) -> Scores:
    """The rows in blocks of these sizes, up to the last of either, with the state carried along.

    Raises:
        SelfTestError: The graph cannot be run.
    """
    parts, start, state = [], 0, None
    for size in sizes:
        rows = slice(start, min(start + size, len(series)))
        if rows.stop <= rows.start:
            break
        seconds = None if series.seconds is None else series.seconds[rows]
        scores, state = run_graph(
            session, metadata.model, series.readings[rows], seconds, state, series.baseline
        )
        parts.append(scores)
        start = rows.stop
    return Scores.joined(parts)


def differences(metadata: Metadata, series: Series, first: Scores, second: Scores) -> dict[str, Any]:
    """By how much each row's outputs differ, by name, [rows]; inf where only one of them is a number.

    Score and errors are measured by the score and the lowest threshold, expected readings by half the
    training range, as many times as the row's farthest reading is off, and by their own size, which
    float32 rounds.
    """
    rows = min(len(first), len(second))
    threshold = min([metadata.threshold.value, *metadata.threshold.per_machine.values()])
    score = np.abs(first.score[:rows].astype(np.float64)) + threshold
    half, reach = half_ranges(metadata), series.reach[:rows, None]
    found = {}
    for name, by in (
        ("score", score),
        ("errors", score[:, None]),
        ("expected", half * reach + np.abs(first.expected[:rows].astype(np.float64))),
    ):
        one, other = (getattr(scores, name)[:rows].astype(np.float64) for scores in (first, second))
        with np.errstate(invalid="ignore"):
            off = np.abs(one - other) / by
        both = ~np.isfinite(one) & ~np.isfinite(other)
        off = np.where(both, 0, np.where(np.isfinite(off), off, np.inf))
        found[name] = off if off.ndim == 1 else off.max(1)
    return found


def _compare(metadata: Metadata, series: Series, alone: Scores, blocks: Scores, cut: str) -> None:
    for name, off in differences(metadata, series, alone, blocks).items():
        wrong = int((off > RELATIVE).sum())
        if not wrong:
            continue
        row = int(off.argmax())
        raise SelfTestError(
            f"{wrong:,} of {len(off):,} {series.name} do not come out in {cut} as they do one by one: "
            f"row {row:,} has {_shown(name, blocks, row)} instead of {_shown(name, alone, row)}",
            where=WHERE,
            hint=HINT,
        )


def _check_numbers(series: Series, alone: Scores) -> None:
    """Rows as in training must be judged; what lies far outside may overflow, and is then unknown."""
    no_number = ~np.isfinite(np.column_stack([alone.score, alone.errors, alone.expected])).all(1)
    wrong = np.flatnonzero(no_number & series.within[: len(alone)])
    if len(wrong):
        row = int(wrong[0])
        have = "row within the training ranges has", "rows within the training ranges have"
        raise SelfTestError(
            f"{counted(len(wrong), *have)} no finite score: row {row:,} of "
            f"{series.name} has a score of {alone.score[row]:.6g}",
            where=WHERE,
            hint="export the model again",
        )


def _check_threshold(metadata: Metadata, scored: Sequence[tuple[Series, Scores]]) -> None:
    """A threshold above all that can come would find nothing, one below all of it would find anything.

    Only what is certain is refused: rows as far off as a thousand times the training range must reach it; and
    of all rows within the training ranges, golden ones among them, one must not. A machine's own threshold is
    not asked: it may be out of reach, which mutes the machine, or below everything.
    """
    scores = np.concatenate([alone.score for _, alone in scored])
    within = np.concatenate([series.within for series, _ in scored])
    finite = np.isfinite(scores)
    highest = float(scores[finite].max(initial=0.0))
    lowest = min(*scores[finite & within].tolist(), *metadata.golden.scores)
    _check_within("threshold.value", metadata.threshold.value, lowest, highest)
    if (degraded := metadata.degraded) is not None:
        lowest = min(lowest, *degraded.golden)
        for place, absence in enumerate(degraded.absent):
            _check_within(f"degraded.absent[{place}].threshold", absence.threshold, lowest, highest)


def _check_within(where: str, threshold: float, lowest: float, highest: float) -> None:
    if highest <= threshold:
        raise SelfTestError(
            f"no row can reach the threshold of {threshold:.6g}: even {FAR:,.0f} times the training range "
            f"away, {highest:.6g} is the highest score",
            where=f"metadata: {where}",
            hint="do not use it: it would find nothing; choose the threshold again",
        )
    if lowest > threshold:
        raise SelfTestError(
            f"every row exceeds the threshold of {threshold:.6g}: of the golden rows, and those within "
            f"the training ranges, the lowest scores {lowest:.6g}",
            where=f"metadata: {where}",
            hint="do not use it: it would call every row an anomaly; choose the threshold again",
        )


def _shown(name: str, scores: Scores, row: int) -> str:
    if name == "score":
        return f"a score of {scores.score[row]:.6g}"
    values = getattr(scores, name)[row].tolist()
    return f"{name} of {', '.join(f'{value:.6g}' for value in values[:8])}{', …' * (len(values) > 8)}"  # noqa: PLR2004


def _of(scores: Scores, rows: NDArray[np.bool_] | slice) -> Scores:
    return Scores(scores.score[rows], scores.errors[rows], scores.expected[rows])
