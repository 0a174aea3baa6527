"""The table `[data]`: what columns, or keys, are called beside the sensors."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.config import setting
from edge_runtime.text.csvrows import Columns

__all__ = ["DataLayout", "DefaultMachine"]


@dataclass(frozen=True, slots=True)
class DefaultMachine:
    """What a machine is called that does not say so."""

    machine: str = setting("machine", "Id of a machine whose rows do not name one.")


@dataclass(frozen=True, slots=True)
class DataLayout(DefaultMachine):
    """Columns of CSV, or keys of JSON, beside the sensors."""

    time_column: str = setting("time", "Column, or JSON key, of the times.", flag="--time-column")
    machine_column: str = setting(
        "machine_id", "Column, or JSON key, of the machine ids.", flag="--machine-column"
    )

    def columns(self, sensors: tuple[str, ...]) -> Columns:
        """Which columns to read for these sensors."""
        return Columns(sensors, self.time_column, self.machine_column, self.machine)
