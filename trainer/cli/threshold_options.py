"""The options that say when a row is anomalous."""

from __future__ import annotations

from typing import Annotated

import typer

from trainer.cli.choices import ThresholdChoice

__all__ = [
    "AlarmDelays",
    "Clean",
    "Debounce",
    "Degraded",
    "FalseAlarms",
    "Hold",
    "Margin",
    "PerMachine",
    "Percentile",
    "Threshold",
]

Threshold = Annotated[
    ThresholdChoice,
    typer.Option(
        help="How the threshold is chosen: as a percentile of the scores of normal "
        "validation rows, or for the best F1 on validation."
    ),
]
Percentile = Annotated[
    float | None,
    typer.Option(help="Percentile for --threshold percentile. [recipe best: 99.55]", show_default=False),
]
Margin = Annotated[
    float | None,
    typer.Option(
        help="Factor applied to the percentile's score, above 1 where validation is too short to have seen "
        "all that is normal. [default: 1 + 1/(1 + number of normal validation rows above the percentile), or "
        "what training's percentile is above validation's, at most 1.5, if that is more]",
        show_default=False,
    ),
]
FalseAlarms = Annotated[
    str | None,
    typer.Option(
        help="Accepted rate of false alarms for each machine, such as 1/day or 1/week. It "
        "replaces --threshold, and is refused if the history cannot promise it.",
        show_default=False,
    ),
]
Clean = Annotated[
    bool,
    typer.Option(
        "--clean",
        help="If training seems to hold faults that nobody labelled, leave them out and train again. Without "
        "this option, they are only listed.",
    ),
]
Debounce = Annotated[
    str | None,
    typer.Option(
        help="Debounce as K,N, for use with --false-alarms: a row is flagged when K of the"
        " last N rows are above the threshold. [default: the best on labelled "
        "validation, else 1,1]",
        show_default=False,
    ),
]
PerMachine = Annotated[
    bool,
    typer.Option(
        help="Give its own threshold to each machine that has at least 2,000 normal validation rows."
    ),
]
Degraded = Annotated[
    bool | None,
    typer.Option(
        "--degraded/--no-degraded",
        help="Judge rows that lack a single sensor without it, each sensor with a threshold of its own; "
        "otherwise such rows are unknown. [recipe best: yes]",
        show_default=False,
    ),
]
AlarmDelays = Annotated[
    bool | None,
    typer.Option(
        "--alarm-delays/--no-alarm-delays",
        help="Choose for how long a machine must be anomalous until an alarm is raised, and normal until it "
        "returns, so that no fault of validation is lost. [recipe best: yes]",
        show_default=False,
    ),
]
Hold = Annotated[
    str | None,
    typer.Option(
        help="Hysteresis of the verdict as RISE,FALL,CAP,LEVEL: a counter rises with each "
        "row above the threshold, up to the cap, and falls with each row below it; "
        "the anomaly is held while the counter is above the level. With none, "
        "anomalies are not held. [recipe best: 1,1,10,5.5]",
        show_default=False,
    ),
]
