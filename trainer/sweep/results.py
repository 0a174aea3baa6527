"""What a sweep found, for the screen and for sweep.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import counted
from trainer.data.rows import replacing
from trainer.fitting.recipes import RECIPES, own_recipe
from trainer.fitting.settings import Settings
from trainer.sweep.comparison import compare_trials

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trainer.experiment.results import Results
    from trainer.sweep.comparison import Comparison

__all__ = ["SweepResults", "Tried", "options_of"]

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial that ended.

    Attributes:
        number: From 1.
        figure: The objective's; None where it failed.
        parameters: What it tried, by name.
        seconds: How long it took.
        error: Why it failed; None where it did not.
        recipe: Name of the recipe that it tried as it is; None for a choice of parameters.
        draws: [draws] the figure of resampled blocks of time, the same for all trials; NaN where undefined.
    """

    number: int
    figure: float | None
    parameters: Mapping[str, Any]
    seconds: float
    error: str | None = None
    recipe: str | None = None
    draws: tuple[float, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """For people, within a sentence."""
        return f"trial {self.number}" + ("" if self.recipe is None else f" (recipe '{self.recipe}')")

    @property
    def named(self) -> str:
        """The same, where a sentence begins."""
        return self.name[0].upper() + self.name[1:]

    def line(self, of: int, best: Tried | None) -> str:
        """For people: number, figure, recipe or parameters, and the best so far."""
        figure = "failed" if self.figure is None else f"{self.figure:.4f}"
        so_far = "" if best is None else f"best {best.figure:.4f} (trial {best.number})"
        what = " ".join(f"{name}={value}" for name, value in self.parameters.items())
        shown = what if self.recipe is None else f"recipe {self.recipe}"
        shown += "" if self.error is None else f": {self.error}"
        return f"trial {self.number:>3} of {of}  {figure}  {so_far}  {self.seconds:.1f} s  {shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResults:
    """A sweep so far.

    Attributes:
        output: The sweep's folder.
        objective: Name of the figure.
        what: The same for people.
        terms: What the figures depend on.
        tried: Every trial that ended.
        default: Name of the recipe that another trial has to be better than.
        importance: As `Trials.importance` gives it, for the chosen trial's kind of model.
        fit: The chosen trial's settings, trained for good; None where the sweep was broken off before.
        interrupted: Whether it was broken off.
    """

    output: Path
    objective: str
    what: str
    terms: Mapping[str, Any]
    tried: tuple[Tried, ...]
    default: str
    importance: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fit: Results | None = None
    interrupted: bool = False

    @property
    def best(self) -> Tried | None:
        """The first of those with the largest figure; None where none has any."""
        return next(iter(self.ranked), None)

    @property
    def comparison(self) -> Comparison | None:
        """The best trial beside the default recipe; None where no trial has a figure."""
        return compare_trials(self.tried, self.default)

    @property
    def chosen(self) -> Tried | None:
        """What is to be trained for good; None where no trial has a figure."""
        comparison = self.comparison
        return None if comparison is None else comparison.chosen

    @property
    def ranked(self) -> list[Tried]:
        """Those with a figure, the best first."""
        return sorted(
            (trial for trial in self.tried if trial.figure is not None),
            key=lambda trial: (-(trial.figure or 0.0), trial.number),
        )

    def to_dict(self) -> dict[str, Any]:
        """What sweep.json holds."""
        comparison = self.comparison
        return {
            "objective": self.objective,
            "what": self.what,
            "terms": dict(self.terms),
            "interrupted": self.interrupted,
            "best": None if self.best is None else _as_dict(self.best),
            "default_recipe": self.default,
            "chosen": None if comparison is None else _as_dict(comparison.chosen),
            "better_than_default": comparison is not None and comparison.better,
            "difference_to_default": None
            if comparison is None or comparison.interval is None
            else list(comparison.interval),
            "conclusion": None if comparison is None else comparison.sentences(),
            "importance": {name: dict(parts) for name, parts in self.importance.items()},
            "fit": None
            if self.fit is None
            else {
                "folder": str(self.fit.output),
                "digest": self.fit.digest,
                "test": self.fit.test.metrics,
                "mlflow_run_id": self.fit.run_id,
            },
            "trials": [_as_dict(trial) for trial in self.tried],
        }

    def write(self, path: Path) -> None:
        """Writes sweep.json, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        with replacing(path) as stream:
            stream.write(text.encode())

    def table(self) -> str:
        """For people: the best trials and the default recipe, what mattered, and what to take."""
        comparison, ranked = self.comparison, self.ranked[:SHOWN]
        if comparison is None:
            return f"No trial has a figure, of {len(self.tried)}."
        default = comparison.default
        shown = ranked if default is None or default in ranked else [*ranked, default]
        names = list(dict.fromkeys(name for trial in shown for name in trial.parameters))
        rows = [["trial", "figure", "recipe", *names, "seconds"]]
        for trial in shown:
            values = [_shown(trial.parameters[name]) if name in trial.parameters else "" for name in names]
            figures = str(trial.number), f"{trial.figure:.4f}", trial.recipe or ""
            rows.append([*figures, *values, f"{trial.seconds:.1f}"])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        failed = sum(trial.figure is None for trial in self.tried)
        lines = [
            f"The best {len(ranked)} of {counted(len(self.tried), 'trial')}"
            + (f", {failed} of which failed" if failed else "")
            + f", by {self.what}",
            *("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows),
        ]
        for i, (group, found) in enumerate(self.importance.items()):
            parts = ", ".join(f"{name} {part:.0%}" for name, part in found.items())
            of = "all trials" if group == "all" else f"the {group} models"
            lines += [*([] if i else [""]), f"What the figures of {of} differ by: {parts}"]
        lines += ["", comparison.sentences()]
        return "\n".join(lines)


def options_of(trial: Tried) -> list[str]:
    """The options with which `edge-train fit` trains the same as a trial; a recipe by its name.

    Args:
        trial: What its model's recipe sets beyond its parameters is as the defaults have it.
    """
    if trial.recipe is not None:
        return ["--recipe", trial.recipe]
    parameters = trial.parameters
    defaults = asdict(Settings())
    recipe = RECIPES[own_recipe(parameters.get("model"))].settings
    undone = {name: defaults[name] for name in recipe if name not in parameters}
    words = []
    for name, value in {**parameters, **undone}.items():
        option = name.replace("_", "-")
        if name == "two_channels":
            words.append(f"--{option}" if value else "--one-channel")
        elif isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None or name in recipe:
            words += [f"--{option}", _shown(value)]
    return words


def _as_dict(trial: Tried) -> dict[str, Any]:
    return {
        "number": trial.number,
        "figure": trial.figure,
        "parameters": dict(trial.parameters),
        "recipe": trial.recipe,
        "seconds": trial.seconds,
        "error": trial.error,
    }


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)
