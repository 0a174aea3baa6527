"""What goes to a sink: the rows and the changes of alarms that it takes and that were asked for, encoded."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, cast

from edge_runtime.sinks.base import ALARMS, EVERYTHING, PRIORITIES, ROWS, AlarmSink, Only, StateSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results
    from edge_runtime.sinks.base import OnlyAlarms, Sink
    from edge_runtime.sinks.thinning import Thinning

__all__ = ["Outlet"]

# Rows that are not judged may be of any number of machines; so many are shown, and those with alarms.
MAX_SHOWN = 10_000
# Of rows that were kept, in one payload.
MAX_ROWS = 2000
# These are told, though nothing else of an alarm is from then on.
SUSPENDING = ("shelved", "out of service")
# What a person has to know; the rest is for those who keep a record or show a state.
FOR_PEOPLE = ("raised", "priority", "again", "returned", "unshelved", "in service", "forgotten")


class Outlet:
    """A sink, and what goes there.

    Args:
        sink: The sink.
        takes: `ROWS`, `ALARMS` or both.
        only: Which of them.
        tells: Which changes of alarms, unless `only` names them; as in `SinkKind`.

    Attributes:
        sink: As above.
        left_out: Number of rows that did not go there, as it takes not all of them.
    """

    def __init__(
        self,
        sink: Sink,
        takes: Sequence[str] = (ROWS,),
        only: OnlyAlarms = EVERYTHING,
        tells: Literal["all", "told", "people"] = "all",
    ) -> None:
        self.sink = sink
        self.left_out = 0
        self._takes_rows, self._takes_alarms = ROWS in takes, ALARMS in takes
        self._only = only
        self._tells = tells
        self._shown, self._unshown = set[str](), set[str]()
        self._thinning: Thinning | None = None
        if (
            self._takes_rows
            and isinstance(only, Only)
            and (only.machines or only.rows != "all" or only.every > 1)
        ):
            from edge_runtime.sinks.thinning import Thinning  # noqa: PLC0415 - where rows are left out

            self._thinning = Thinning(only)

    @property
    def words(self) -> tuple[str, str]:
        """What one of that which goes there is called, and what several are."""
        if not self._takes_alarms:
            return "row", "rows"
        return ("row or change", "rows and changes") if self._takes_rows else ("change", "changes")

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
            for part in [] if rows is None else self._parts(rows):
                if payload := self.sink.encode(part):
                    yield payload, len(part)
                else:
                    self.left_out += len(part)
        if self._takes_alarms:
            yield from self._alarms(alarms)
            if isinstance(self.sink, StateSink):
                yield from self._states(self.sink, results, alarms, standing)

    def _parts(self, rows: Results) -> Iterator[Results]:
        """The same in parts that a payload can hold: before an alarm, rows of a day may have been kept."""
        if self._thinning is None or len(rows) <= MAX_ROWS:
            yield rows
            return
        for start in range(0, len(rows), MAX_ROWS):
            yield rows.take(slice(start, start + MAX_ROWS))

    def _alarms(self, alarms: Sequence[Change]) -> Iterator[tuple[bytes, int]]:
        sink = cast("AlarmSink", self.sink)
        for change in alarms:
            if self._is_wanted(change) and (payload := sink.encode_alarm(change)):
                yield payload, 1

    def _states(
        self,
        sink: StateSink,
        results: Results | None,
        alarms: Sequence[Change],
        standing: Callable[[str], list[dict[str, Any]]],
    ) -> Iterator[tuple[bytes, int]]:
        """What is open at machines where something changed, or that were not shown since the start.

        A receiver may have lost what was shown, or have it from a ledger that is not there any more.
        """
        machines = {change.fields["machine_id"] for change in alarms} | self._unshown
        self._unshown = set()
        if results is not None and len(self._shown) < MAX_SHOWN:
            machines.update(set(results.readings.groups.names) - self._shown)
        self._shown |= machines
        for machine in sorted(machines):
            shown = [fields for fields in standing(machine) if self._is_chosen(fields)]
            if self._is_of(machine) and (payload := sink.encode_state(machine, shown)):
                yield payload, 1

    def begin(self, alarms: Sequence[dict[str, Any]]) -> None:
        """There are these alarms already, by their fields."""
        self._unshown = {fields["machine_id"] for fields in alarms}
        if self._thinning is not None:
            self._thinning.begin(fields for fields in alarms if self._is_chosen(fields))

    def _is_of(self, machine: str) -> bool:
        return not self._only.machines or any(fnmatchcase(machine, one) for one in self._only.machines)

    def _is_chosen(self, fields: dict[str, Any]) -> bool:
        kinds, least = self._only.kinds, PRIORITIES.index(self._only.priority)
        return (
            self._is_of(fields["machine_id"])
            and (not kinds or fields["kind"] in kinds)
            and PRIORITIES.index(fields["priority"]) >= least
        )

    def _is_wanted(self, change: Change) -> bool:
        if not self._is_chosen(change.fields):
            return False
        if self._tells != "all" and not (change.told or change.change in SUSPENDING):
            return False
        if self._only.changes:
            return change.change in self._only.changes
        return self._tells != "people" or change.change in FOR_PEOPLE
