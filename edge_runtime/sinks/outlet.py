"""What goes to a sink: the rows and the changes of alarms that it takes and that were asked for, encoded."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, cast

from edge_runtime.sinks.base import ALARMS, PRIORITIES, ROWS, AlarmSink, Only, StateSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results
    from edge_runtime.sinks.base import Sink
    from edge_runtime.sinks.thinning import Thinning

__all__ = ["Outlet"]

# These are told, though nothing else of an alarm is from then on.
SUSPENDING = ("shelved", "out of service")
# What a person has to know; the rest is for those who keep a record or show a state.
FOR_PEOPLE = ("raised", "priority", "again", "returned", "unshelved", "in service", "forgotten")


class Outlet:
    """A sink, and what goes there.

    Args:
        sink: The sink.
        takes: `ROWS`, `ALARMS` or both; None for alarms, where the sink takes any, or else rows.
        only: Which of them.
        tells: Which changes of alarms, unless `only` names them; as in `SinkKind`.

    Attributes:
        sink: As above.
        left_out: Number of rows that did not go there, as it takes not all of them.
    """

    def __init__(
        self,
        sink: Sink,
        takes: Sequence[str] | None = None,
        only: Only | None = None,
        tells: Literal["all", "told", "people"] = "all",
    ) -> None:
        self.sink = sink
        self.left_out = 0
        if takes is None:
            takes = (ALARMS,) if isinstance(sink, AlarmSink) else (ROWS,)
        self._takes_rows, self._takes_alarms = ROWS in takes, ALARMS in takes
        self._only = only or Only()
        self._tells = tells
        self._thinning: Thinning | None = None
        if self._takes_rows and (self._only.machines or self._only.rows != "all" or self._only.every > 1):
            from edge_runtime.sinks.thinning import Thinning  # noqa: PLC0415 - where rows are left out

            self._thinning = Thinning(self._only)

    @property
    def takes_rows(self) -> bool:
        """Whether rows go there."""
        return self._takes_rows

    @property
    def takes_alarms(self) -> bool:
        """Whether changes of alarms go there."""
        return self._takes_alarms

    def entries(
        self,
        results: Results | None,
        alarms: Sequence[Change],
        standing: Callable[[str], list[dict[str, Any]]],
    ) -> Iterator[tuple[bytes, int]]:
        """Payloads, each with the number of rows or changes in it.

        Args:
            results: Rows; None for none.
            alarms: What changed in alarms with these rows.
            standing: The fields of a machine's open alarms after these changes.
        """
        if self._takes_rows:
            rows = results
            if self._thinning is not None:
                chosen = [change for change in alarms if self._is_chosen(change.fields)]
                rows = self._thinning.of(results, chosen)
                self.left_out += (0 if results is None else len(results)) - (0 if rows is None else len(rows))
            if rows is not None and (payload := self.sink.encode(rows)):
                yield payload, len(rows)
            elif rows is not None:
                self.left_out += len(rows)
        if self._takes_alarms:
            yield from self._alarms(alarms, standing)

    def _alarms(
        self, alarms: Sequence[Change], standing: Callable[[str], list[dict[str, Any]]]
    ) -> Iterator[tuple[bytes, int]]:
        sink = cast("AlarmSink", self.sink)
        machines = dict.fromkeys(
            one.fields["machine_id"] for one in alarms if self._is_of(one.fields["machine_id"])
        )
        for change in alarms:
            if change.fields["machine_id"] not in machines or not self._is_wanted(change):
                continue
            if payload := sink.encode_alarm(change):
                yield payload, 1
        if isinstance(self.sink, StateSink):
            for machine in machines:
                if payload := self.state(machine, standing(machine)):
                    yield payload, 1

    def state(self, machine: str, alarms: Iterable[dict[str, Any]]) -> bytes:
        """The payload that shows a machine's open alarms."""
        shown = [fields for fields in alarms if self._is_chosen(fields)]
        return cast("StateSink", self.sink).encode_state(machine, shown)

    def begin(self, alarms: Iterable[dict[str, Any]]) -> None:
        """There are these alarms already, by their fields."""
        if self._thinning is not None:
            self._thinning.begin(fields for fields in alarms if self._is_chosen(fields))

    def _is_of(self, machine: str) -> bool:
        return not self._only.machines or any(fnmatchcase(machine, one) for one in self._only.machines)

    def _is_chosen(self, fields: dict[str, Any]) -> bool:
        kinds, least = self._only.kinds, PRIORITIES.index(self._only.priority)
        return (not kinds or fields["kind"] in kinds) and PRIORITIES.index(fields["priority"]) >= least

    def _is_wanted(self, change: Change) -> bool:
        if not self._is_chosen(change.fields):
            return False
        if self._tells != "all" and not (change.told or change.change in SUSPENDING):
            return False
        if self._only.changes:
            return change.change in self._only.changes
        return self._tells != "people" or change.change in FOR_PEOPLE
