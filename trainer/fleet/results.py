"""What a fleet came to, for the screen and for fleet.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import counted
from trainer.data.rows import replacing
from trainer.evaluation.figures import UNLABELLED

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.experiment.results import Results

__all__ = ["FLEET_FILE", "Fleet", "LeftOut"]

FLEET_FILE = "fleet.json"
SHOWN_MACHINES = 10


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A machine without a bundle.

    Attributes:
        machine: Its id.
        why: For people.
    """

    machine: str
    why: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """What was trained.

    Attributes:
        output: The folder of everything.
        results: Machine to what was found and written.
        train_rows: Machine to its normal training rows.
        left_out: The others.
        train_seconds: How long all the training took.
        seconds: How long everything took.
    """

    output: Path
    results: dict[str, Results]
    train_rows: dict[str, int]
    left_out: tuple[LeftOut, ...]
    train_seconds: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """What fleet.json holds."""
        return {
            "machines": [
                {
                    "machine": name,
                    "folder": results.output.name,
                    "digest": results.digest,
                    "threshold": results.threshold.value,
                    "epochs": len(results.history),
                    "rows": {
                        "train": self.train_rows[name],
                        "validation": results.validation.rows,
                        "test": results.test.rows,
                    },
                    "metrics": {"validation": results.validation.metrics, "test": results.test.metrics},
                }
                for name, results in self.results.items()
            ],
            "left_out": [{"machine": left.machine, "why": left.why} for left in self.left_out],
            "train_seconds": round(self.train_seconds, 3),
            "seconds": round(self.seconds, 3),
        }

    def table(self) -> str:
        """The end of the command's output: the machines that did worst on test, and the whole."""
        figure = "f1" if any("f1" in r.test.metrics for r in self.results.values()) else "alarm_rate"
        worst = sorted(
            self.results.items(),
            key=lambda item: item[1].test.metrics.get(figure, np.inf) * (1 if figure == "f1" else -1),
        )[:SHOWN_MACHINES]
        width = max(len("machine"), *(len(name) for name, _ in worst))
        head = f"{'machine':<{width}}  {'test rows':>10}  {'threshold':>10}  {'alarms':>7}"
        lines = [f"{head}  {'F1':>6}" if figure == "f1" else head]
        for name, found in worst:
            f1 = found.test.metrics.get("f1")
            lines.append(
                f"{name:<{width}}  {found.test.rows:>10,}  {found.threshold.value:>10.5g}"
                f"  {found.test.alarm_rate:>7.2%}" + ("" if f1 is None else f"  {f1:>6.3f}")
            )
        if len(self.results) > len(worst):
            lines.append(f"… and {len(self.results) - len(worst):,} that did better")
        values = [r.test.metrics[figure] for r in self.results.values() if figure in r.test.metrics]
        named = "F1" if figure == "f1" else "rate of alarms"
        if not any(r.test.evaluation is not None for r in self.results.values()):
            lines += ["", UNLABELLED]
        lines += [
            "",
            f"{counted(len(self.results), 'machine')}, median {named} on test {np.median(values):.3f}",
            f"{self.seconds:.1f} s, {self.train_seconds:.1f} s of them training",
            f"{len(self.left_out):,} left out; the list is in {self.output / FLEET_FILE}",
        ]
        return "\n".join(lines)

    def write(self) -> None:
        """Writes fleet.json, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        with replacing(self.output / FLEET_FILE) as stream:
            stream.write(text.encode())
