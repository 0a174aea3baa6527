"""A benchmark's figure: what was measured beside what, the ratio within one run, what it should reach."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from edge_runtime.bench.latency import Latency, Rounds, measure_in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Figure", "as_table", "in_rounds", "paired"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table.

    Attributes:
        target: The group that it belongs to.
        what: What was measured.
        against: What beside; empty for a figure that stands by itself.
        unit: Of `ours` and `theirs`.
        ours: The median over the rounds.
        theirs: The other's; None when it stands by itself.
        ratio: The median of the rounds' own ratios, ours to theirs; None when it stands by itself.
        at_most: The ratio, or where there is none the figure, should not be more.
        at_least: It should not be less.
        rounds: So many.
    """

    target: str
    what: str
    against: str
    unit: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    rounds: int = 1

    @property
    def reached(self) -> bool | None:
        """Whether it is as it should be; None when nothing is asked of it."""
        value = self.ours if self.ratio is None else self.ratio
        if self.at_most is not None:
            return value <= self.at_most
        return None if self.at_least is None else value >= self.at_least

    def as_json(self) -> dict[str, Any]:
        """Ready for JSON; figures with four digits, for no more are known."""
        found = asdict(self) | {"reached": self.reached}
        return {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in found.items()}


def in_rounds(
    contestants: Sequence[Callable[[int], object]], *, rounds: int, seconds: float
) -> list[list[Latency]]:
    """Latencies of single calls, the contestants in turns of some calls each.

    Returns:
        For each contestant one latency a round.
    """
    found = [measure_in_turns(contestants, Rounds(seconds / rounds)) for _ in range(rounds)]
    return [list(each) for each in zip(*found, strict=True)]


def paired(
    target: str,
    what: str,
    against: str,
    unit: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Figure:
    """A figure out of rounds in which both took part."""
    ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
    return Figure(
        target, what, against, unit, median(ours), median(theirs), ratio, at_most, at_least, len(ours)
    )


def as_table(figures: Sequence[Figure]) -> str:
    """Figures for people, one line each."""
    lines = [f"{'':<46}{'ours':>12}{'theirs':>12}  {'unit':<8}{'ratio':>8}  to reach"]
    for target in dict.fromkeys(figure.target for figure in figures):
        lines.append(target)
        lines += [_line(figure) for figure in figures if figure.target == target]
    return "\n".join(lines) + "\n"


def _line(figure: Figure) -> str:
    words = f"{figure.what} : {figure.against}" if figure.against else figure.what
    theirs = "" if figure.theirs is None else _number(figure.theirs)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.3f}"
    wanted = ""
    if figure.at_most is not None:
        wanted = f"at most {figure.at_most:g}"
    elif figure.at_least is not None:
        wanted = f"at least {figure.at_least:g}"
    mark = {None: "", True: "  yes", False: "  NO"}[figure.reached]
    return f"  {words:<44}{_number(figure.ours):>12}{theirs:>12}  {figure.unit:<8}{ratio:>8}  {wanted}{mark}"


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
