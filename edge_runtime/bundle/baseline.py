"""What a bundle says of its slow baseline: how the levels of a machine's residuals are followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.bundle.caps import LARGEST, LONGEST_BASELINE_STEP, SMALLEST
from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Baseline", "BaselineState", "check_baseline", "misfit"]

# Sums of bounded numbers may be beyond the sum of their bounds, as much as rounding does.
ROUNDED = 1 + 1e-6
AFTER = "golden.baseline_after"
LISTS = ("values", "persistence", "near", "far", "beyond")


@dataclass(frozen=True, slots=True)
class BaselineState:
    """Where the baseline of one machine stands; each list has [columns] numbers.

    Attributes:
        values: The baseline itself, in the units of the graph's residuals.
        persistence: -1 to 1: how much of the last rows lay far above the baseline, or below it.
        near: Sum of the residuals less the baseline since its last advance, each bounded by `Baseline.near`.
        far: The same sum, each bounded by `Baseline.far`.
        beyond: How many of these rows lay above the nearer bound, less how many lay below it.
        rows: Scored rows since the last advance, fewer than `Baseline.rows`.
    """

    values: tuple[float, ...]
    persistence: tuple[float, ...]
    near: tuple[float, ...]
    far: tuple[float, ...]
    beyond: tuple[float, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """The slow baseline, which follows each machine's levels outside the graph.

    The graph takes the baseline as its input `baseline` and gives `residuals`. After every `rows` scored rows
    of a machine, its baseline advances by what those residuals have in common: slowly, or faster in a column
    most of whose last rows lie far off on the same side. A column that has been far off for a while counts
    no more than so much, by the graph's input `bound`: what is new in the others is not drowned by it.

    Attributes:
        rows: Scored rows of a machine after which its baseline advances.
        horizon: Rows over which a baseline follows a level.
        spread: [columns] What is usual for a residual, in its own units; above zero.
        near: Bound of a residual that moves the baseline slowly, in parts of the spread.
        far: Bound of a residual that moves it fast, in the same unit.
        gain: How many times faster the baseline moves in a column that stays far off.
        persistent: Above which persistence it does so.
        doubtful: Above which persistence a column counts as far off for a while.
        bound: How much its residual less the baseline counts at most, in parts of the spread.
        golden: Where the baseline stands before the first golden row.
    """

    rows: int
    horizon: float
    spread: tuple[float, ...]
    near: float
    far: float
    gain: float
    persistent: float
    doubtful: float
    bound: float
    golden: BaselineState


def misfit(state: BaselineState, baseline: Baseline) -> tuple[str, str] | None:
    """The first field that no baseline can have in its state, and what is wrong with it; None for none."""
    columns, rows = len(baseline.spread), state.rows
    if not 0 <= rows < baseline.rows:
        return "rows", f"is {rows}, which is not 0 to {baseline.rows - 1}"
    near, far = (ROUNDED * rows * bound for bound in (baseline.near, baseline.far))
    for name in LISTS:
        numbers = getattr(state, name)
        if len(numbers) != columns:
            return name, f"has {len(numbers)} numbers, but the baseline has {columns} columns"
        most: Iterable[float] = {
            "values": (LARGEST,) * columns,
            "persistence": (ROUNDED,) * columns,
            "near": (near * part for part in baseline.spread),
            "far": (far * part for part in baseline.spread),
            "beyond": (rows,) * columns,
        }[name]
        # Written so that a NaN is out of range.
        if not all(abs(number) <= bound for number, bound in zip(numbers, most, strict=True)):
            return name, "is out of range"
    return None


def check_baseline(baseline: Baseline | None, after: BaselineState | None, columns: int) -> None:
    """A baseline that moves slowly, and does not run away.

    Args:
        baseline: What the bundle says of it; None where it says nothing.
        after: Where it stands after the golden rows.
        columns: Of the graph's baseline; 0 for a graph without one.

    Raises:
        BundleFormatError: It does not fit the graph, or would jump about.
    """
    if (baseline is None) != (after is None):
        raise BundleFormatError(
            "is there without a baseline, or missing beside one", where=f"metadata: {AFTER}"
        )
    if baseline is None or not columns:
        if baseline is not None or columns:
            raise BundleFormatError(
                "disagrees with the graph about whether there is one", where="metadata: baseline"
            )
        return
    if len(baseline.spread) != columns:
        raise BundleFormatError(
            f"has {len(baseline.spread)} numbers, but the graph's baseline has {columns} columns",
            where="metadata: baseline.spread",
        )
    for name, fine in (
        ("rows", 1 <= baseline.rows <= LONGEST_BASELINE_STEP),
        ("horizon", baseline.rows * max(1.0, baseline.gain) <= baseline.horizon <= LARGEST),
        ("spread", all(SMALLEST <= part <= LARGEST for part in baseline.spread)),
        ("near", 0 < baseline.near <= baseline.far),
        ("far", baseline.far * max(baseline.spread) <= LARGEST),
        ("gain", baseline.gain > 0),
        ("persistent", 0 <= baseline.persistent <= 1),
        ("doubtful", 0 <= baseline.doubtful <= 1),
        ("bound", baseline.bound > 0 and baseline.bound * max(baseline.spread) <= LARGEST),
    ):
        if not fine:
            raise BundleFormatError("is out of range", where=f"metadata: baseline.{name}")
    for where, state in (("baseline.golden", baseline.golden), (AFTER, after)):
        if state is not None and (found := misfit(state, baseline)):
            raise BundleFormatError(found[1], where=f"metadata: {where}.{found[0]}")
