"""What a sweep found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from trainer.rows import replacing

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Sweep", "Trial", "describe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One way to train, and what it came to.

    Attributes:
        number: From 0.
        f1: On the later half of validation; None where the trial failed.
        settings: Fields of `Settings` that it chose.
        percentile: Of the threshold.
        hold: Name of its hold, "usual" or "none".
        error: Why it failed; None otherwise.
    """

    number: int
    f1: float | None
    settings: dict[str, Any]
    percentile: float
    hold: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep that ended, or was ended.

    Attributes:
        trials: In their order.
        importance: Name of a choice to the part of the F1's variance that it explains; empty for few trials.
        injected: Whether the F1 is of faults that were put into normal rows.
        interrupted: Whether somebody ended it.
    """

    trials: list[Trial] = field(default_factory=list)
    importance: dict[str, float] = field(default_factory=dict)
    injected: bool = False
    interrupted: bool = False

    @property
    def ranked(self) -> list[Trial]:
        """Those that did not fail, the best first."""
        return sorted((t for t in self.trials if t.f1 is not None), key=lambda t: -(t.f1 or 0.0))

    def write(self, path: Path) -> None:
        """Writes sweep.json, whole or not at all."""
        text = json.dumps(asdict(self), indent=2, allow_nan=False) + "\n"
        with replacing(path) as stream:
            stream.write(text.encode())

    def table(self, most: int = 10) -> str:
        """The best trials, and what mattered, for people."""
        of = "faults put into validation" if self.injected else "labelled validation"
        lines = [f"{'trial':>5}  {'F1':>6}  settings   (F1 on the later half of {of})"]
        lines += [f"{t.number:>5}  {t.f1:>6.4f}  {describe(t)}" for t in self.ranked[:most]]
        failed = sum(t.f1 is None for t in self.trials)
        if failed:
            lines.append(f"{failed} trial(s) failed; sweep.json says why")
        if self.importance:
            mattered = sorted(self.importance.items(), key=lambda pair: -pair[1])
            lines += ["", "what mattered: " + ", ".join(f"{name} {part:.0%}" for name, part in mattered[:5])]
        return "\n".join(lines)


def describe(trial: Trial) -> str:
    """Its choices on one line."""
    choices = {**trial.settings, "percentile": trial.percentile, "hold": trial.hold}
    return ", ".join(f"{name} {_short(value)}" for name, value in choices.items())


def _short(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "-".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, int | float) else str(value or "none")
