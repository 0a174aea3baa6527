"""From what was asked for to the labeller that does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from trainer.labels.events import EventLabels, events_from_file
from trainer.labels.methods import (
    DEFAULT_LIMITS,
    CarriedLabels,
    Moments,
    NoLabels,
    StatisticalLabels,
    ThresholdLabels,
    parse_limit,
)
from trainer.prepare.excluded import Excluded
from trainer.prepare.files import FileOrigin
from trainer.prepare.influx import InfluxOrigin

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.labels.methods import Labeller
    from trainer.prepare.origin import Origin
    from trainer.prepare.splits import Stretch

__all__ = ["Labelling"]

NOTHING = Excluded()


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """How rows are to be labelled.

    Attributes:
        method: "events", "threshold", "statistical" or "none"; None for events, where there are any.
        events_file: Where events are taken from; None for the database, or the labels that the rows carry.
        measurement: Where in the database they are.
        limits: Changes to the default limits, as "NAME=LOW:HIGH".
        sigma: How many standard deviations are far.
        excluded: What "statistical" learns nothing from.
    """

    method: str | None
    events_file: Path | None
    measurement: str
    limits: tuple[str, ...]
    sigma: float
    excluded: Excluded = NOTHING

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise UsageError(
                f"{self.sigma:g} standard deviations", where="--sigma", hint="choose a positive number"
            )

    def labeller(self, origin: Origin, train: Stretch, last_ns: int) -> Labeller:
        """Makes it; "statistical" reads the training stretch once for that.

        Args:
            origin: The rows.
            train: The training stretch.
            last_ns: Time of the last row of all.

        Raises:
            UsageError: There is nothing to label with, or a limit is wrong.
            InputError: The events cannot be used.
        """
        database = origin if isinstance(origin, InfluxOrigin) else None
        method = self.method
        if method is None:
            has_events = (
                self.events_file is not None
                or origin.labelled
                or (database is not None and database.has_events(self.measurement))
            )
            method = "events" if has_events else "none"
        if method == "threshold":
            changes = dict(map(parse_limit, self.limits))
            for name in sorted(changes.keys() - set(origin.sensors)):
                raise UsageError(
                    f"no sensor '{name}'", where="--limit", hint=f"there are {', '.join(origin.sensors)}"
                )
            return ThresholdLabels(DEFAULT_LIMITS | changes, origin.sensors)
        if method == "statistical":
            moments = Moments(len(origin.sensors))
            for page in map(train.take, origin.pages(train.start_ns, train.stop_ns)):
                moments.add(page.values[~self.excluded.rows(page.times)])
            return StatisticalLabels(moments, self.sigma, origin.sensors)
        if method == "none":
            return NoLabels()
        if self.events_file is not None:
            events = events_from_file(self.events_file)
            return EventLabels(events, {"from": str(self.events_file)}, origin.describe().get("machines"))
        if isinstance(origin, FileOrigin) and origin.labels is not None:
            return CarriedLabels(origin.labels.describe())
        if database is None:
            raise UsageError(
                "no events to label with",
                where="--labels events",
                hint="give an --events-file, or name the column of the files with --label-column",
            )
        found = database.events(self.measurement, train.start_ns, last_ns + 1)
        return EventLabels(found, {"from": f"measurement {self.measurement}"})
