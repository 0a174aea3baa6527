"""Local times to UTC, through the hours that daylight saving repeats and leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, UsageError, printable
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from numpy.typing import NDArray

    from edge_runtime.mapping.cells import Place

__all__ = ["Zone", "zone_named"]

# Clocks are put forward and back at whole quarters of an hour.
QUARTER_NS = 900_000_000_000
SECOND_NS = 1_000_000_000


def zone_named(name: str, where: str) -> ZoneInfo:
    """A zone of the IANA database.

    Args:
        name: Such as "Europe/Berlin".
        where: What names it, for a message.

    Raises:
        UsageError: This machine knows no such zone.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415 - where a zone is named

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(
            f"there is no time zone '{printable(name)}' on this machine",
            where=where,
            hint="such as Europe/Berlin; the package tzdata holds them all",
        ) from None


class Zone:
    """A zone of the IANA database, and how far each machine's rows have come in it.

    Of an hour that the clock goes through twice, a machine's rows are of the first as long as its times rise,
    and of the second from where they go back.

    Args:
        name: Such as "Europe/Berlin".

    Attributes:
        repeated: How many times so far were of an hour that the clock goes through twice.

    Raises:
        UsageError: There is no such zone.
    """

    def __init__(self, name: str) -> None:
        self._zone = zone_named(name, "--time-zone")
        self.repeated = 0
        # Each machine's last local time, and whether it was in the second of two hours.
        self._last: dict[str, tuple[int, bool]] = {}
        self._offsets: dict[int, tuple[int, int]] = {}

    def to_utc(
        self, local: NDArray[np.int64], names: Sequence[str], codes: NDArray[np.intp] | None, place: Place
    ) -> NDArray[np.int64]:
        """[rows] nanoseconds since 1970 in UTC.

        Args:
            local: [rows] what the clock on the wall showed, as nanoseconds since 1970.
            names: Machine ids.
            codes: [rows] each row's place among them; None where all are of the first.
            place: Where the rows are, for errors.

        Raises:
            InputError: A time was left out when the clock was put forward; the line is named.
        """
        quarters, of_row = np.unique(local // QUARTER_NS, return_inverse=True)
        pairs = np.asarray([self._offset(int(quarter)) for quarter in quarters], np.int64)[of_row]
        first, second = pairs[:, 0], pairs[:, 1]
        gap = first < second
        if gap.any():
            row = int(gap.argmax())
            shown = format_time(int(local[row])).removesuffix("Z")
            raise InputError(
                f"there was no {shown} in {self._zone.key}: the clock was put forward over it",
                where=place.row(row),
                hint="leave out --time-zone if the times are UTC",
            )
        twice = first > second
        later = np.zeros(len(local), np.bool_)
        if twice.any() or any(in_second for _, in_second in self._last.values()):
            later = self._later(local, twice, names, codes)
            self.repeated += int(twice.sum())
        self._remember(local, later, names, codes)
        return local - np.where(later, second, first)

    def _later(
        self,
        local: NDArray[np.int64],
        twice: NDArray[np.bool_],
        names: Sequence[str],
        codes: NDArray[np.intp] | None,
    ) -> NDArray[np.bool_]:
        """Which rows are of the second of two hours."""
        later = np.zeros(len(local), np.bool_)
        last = dict(self._last)
        for row in range(len(local)):
            name = names[0 if codes is None else codes[row]]
            before, was_later = last.get(name, (int(local[row]), False))
            later[row] = bool(twice[row]) and (was_later or int(local[row]) < before)
            last[name] = (int(local[row]), bool(later[row]))
        return later

    def _remember(
        self,
        local: NDArray[np.int64],
        later: NDArray[np.bool_],
        names: Sequence[str],
        codes: NDArray[np.intp] | None,
    ) -> None:
        if not len(local):
            return
        if codes is None:
            self._last[names[0]] = (int(local[-1]), bool(later[-1]))
            return
        present, from_end = np.unique(codes[::-1], return_index=True)
        for code, back in zip(present.tolist(), from_end.tolist(), strict=True):
            row = len(local) - 1 - back
            self._last[names[code]] = (int(local[row]), bool(later[row]))

    def _offset(self, quarter: int) -> tuple[int, int]:
        """How far local time is ahead of UTC in a quarter of an hour: before and after a change in it."""
        if quarter not in self._offsets:
            from datetime import datetime, timedelta  # noqa: PLC0415

            moment = datetime(1970, 1, 1) + timedelta(seconds=quarter * (QUARTER_NS // SECOND_NS))  # noqa: DTZ001
            both = [moment.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in (0, 1)]
            self._offsets[quarter] = tuple(  # type: ignore[assignment]
                round(ahead.total_seconds()) * SECOND_NS if ahead else 0 for ahead in both
            )
        return self._offsets[quarter]
