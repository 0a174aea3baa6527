"""Which columns and machines of the tables to read, as a person chose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from edge_runtime.mapping.form import PLAIN
from trainer.data.label_column import LabelChoice

if TYPE_CHECKING:
    from edge_runtime.mapping.form import Form

__all__ = ["Columns"]


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read; None and empty for those that are usually there.

    Attributes:
        sensors: The sensors, in this order; empty for every column of numbers that is nothing else.
        label: The labels; None for "anomaly" with 0 and 1, and for no labels where there is no such column.
        normal: Values of the label in normal rows; empty where they say it themselves.
        ignore: Values of the label in rows to ignore, besides empty cells.
        drop: Columns to leave out.
        form: How the tables are written, and what their columns of times and machine ids are called.
        machines: The machines whose rows alone are read; empty for all.

    Raises:
        UsageError: A column is chosen twice.
    """

    sensors: tuple[str, ...] = ()
    label: str | None = None
    normal: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    form: Form = PLAIN
    machines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.sensors)) < len(self.sensors):
            raise UsageError("a sensor is named twice", where="--sensor")
        self.labels.refuse_twice(
            {
                "--sensor": self.sensors,
                "--time-column": self.form.time.from_,
                "--machine-column": (self.form.machine or None,),
            }
        )

    @property
    def labels(self) -> LabelChoice:
        """What was said about labels."""
        return LabelChoice(self.label, self.normal, self.ignore, self.drop)
