"""What a bundle says of its slow baseline: how the levels of a machine's residuals are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.caps import LARGEST, LONGEST_BASELINE_STEP, SMALLEST
from edge_runtime.errors import BundleFormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_runtime.bundle.judging import Baseline, BaselineState

__all__ = ["check_baseline", "misfit"]

# Sums of bounded numbers may be beyond the sum of their bounds, as much as rounding does.
ROUNDED = 1 + 1e-6
AFTER = "golden.baseline_after"
LISTS = ("values", "persistence", "near", "far", "beyond")


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
