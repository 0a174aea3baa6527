"""The options that say what the sensors are, and when their readings cannot be used."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["MaxRate", "PhysicalRange", "SensorStatus", "Unit"]

SensorStatus = Annotated[
    bool | None,
    typer.Option(
        "--sensor-status/--no-sensor-status",
        help="Find sensors that stand still for three times as long as they ever did in normal "
        "rows of training and validation; their readings are not used. [recipe best: yes]",
        show_default=False,
    ),
]
MaxRate = Annotated[
    list[str] | None,
    typer.Option(
        help="Fastest possible change of a sensor in its unit a second, such as temperature=0.5; a reading "
        "that is out of reach of the last one is not used. May be repeated.",
        show_default=False,
    ),
]
PhysicalRange = Annotated[
    list[str] | None,
    typer.Option(
        help="Lowest and highest possible reading of a sensor, such as temperature=-40:150. May be repeated.",
        show_default=False,
    ),
]
Unit = Annotated[
    list[str] | None,
    typer.Option(help="Unit of a sensor, such as temperature=°C. May be repeated.", show_default=False),
]
