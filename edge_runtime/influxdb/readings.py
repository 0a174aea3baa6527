"""Which readings are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from edge_runtime.errors import UsageError

__all__ = ["NUMBER_TYPES", "ReadingsQuery"]

NUMBER_TYPES = ("float", "integer", "unsigned")


@dataclass(frozen=True, slots=True)
class ReadingsQuery:
    """Which readings.

    Attributes:
        sensors: Fields, in the order of the columns.
        measurement: The measurement that holds them.
        machine_tag: The tag with the machine's id; "=NAME" where all rows are of the machine NAME.
        machines: These alone; empty for all.
        default_machine: The id of rows without that tag.
        other_tags: The measurement's tags beside the machine's, in their order. They say which series stays
            where two of one machine have different values for the same time; `check_readings` finds them.

    Raises:
        UsageError: There is no sensor, or one twice; or machines are chosen where there is one alone.
    """

    sensors: tuple[str, ...]
    measurement: str = "sensors"
    machine_tag: str = "machine_id"
    machines: tuple[str, ...] = ()
    default_machine: str = "machine"
    other_tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sensors or len(set(self.sensors)) != len(self.sensors):
            raise UsageError(
                "a query needs at least one sensor, and each sensor only once",
                where=f"measurement {self.measurement}",
            )
        if not self.machine_tag.removeprefix("="):
            raise UsageError(
                "no tag with the machine's id",
                where=f"measurement {self.measurement}",
                hint="name the tag, or write =NAME when all rows are of the machine NAME",
            )
        if self.tag is None and self.machines:
            raise UsageError(
                f"machines are selected, but '{self.machine_tag}' says that all rows are of one machine",
                where=f"measurement {self.measurement}",
                hint="leave one of the two out",
            )

    @property
    def tag(self) -> str | None:
        """The tag with the machine's id; None where there is one machine alone."""
        return None if self.machine_tag.startswith("=") else self.machine_tag

    @property
    def nameless(self) -> str:
        """The id of rows that have no such tag."""
        return self.default_machine if self.tag is not None else self.machine_tag.removeprefix("=")
