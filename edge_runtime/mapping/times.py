"""Cells to moments: ISO 8601 and what is like it, numbers of any epoch, or a format; and zones.

A time is understood whole, or refused. A number is an epoch's where it can be one in one way alone; another
needs its unit to be named.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.mapping.form import EPOCHS, FIRST_NS, LAST_NS, UNITS, TimeForm
from edge_runtime.timeparse import EARLIEST, LATEST, PATTERNS, moment_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.mapping.cells import Place
    from edge_runtime.mapping.zones import Zone

__all__ = ["DAY_NS", "Times"]

DAY_NS = 86_400_000_000_000
NUMBER = re.compile(rb"(\d{1,20})(?:[.,](\d{1,18}))?")
LIKE = "0000-00-00T00:00:00Z"
MAX_LIKE = len(LIKE) + len(".000000000")
MAX_DIGITS = 18
# Every letter as it is, but a digit as 0.
DIGITS_ALIKE = np.where(np.isin(np.arange(256), list(b"0123456789")), ord("0"), np.arange(256)).astype(
    np.uint8
)
FIRST_CENTURY, LAST_CENTURY = 17, 21
# Excel writes fractions of a day with fewer decimals than a millisecond has.
EXCEL_STEP_NS = 1_000_000
MAX_MONTH = 12
FIRST_YEAR, LAST_YEAR = 1677, 2262
SECOND_NS = 1_000_000_000
# Seconds of each digit of a zone such as +0130.
ZONE_PARTS = (36_000, 3600, 600, 60)
# Fewer are read one by one as fast; longer ones than these are none.
FEW, MAX_SHAPE = 8, 48


class Times:
    """Reads the times of one text.

    Args:
        form: How they are written.
        latest_ns: An epoch after this needs its unit to be named; None where the clock is not to be asked.
    """

    def __init__(self, form: TimeForm | None = None, latest_ns: int | None = None) -> None:
        form = form or TimeForm()
        self._form = form
        self._patterns: tuple[re.Pattern[str], ...] = PATTERNS
        self._latest_ns = LAST_NS if latest_ns is None else latest_ns
        if form.format:
            from edge_runtime.mapping.formats import pattern_of  # noqa: PLC0415 - where there is one

            self._patterns = (pattern_of(form.format),)
        self.zone: Zone | None = None
        if form.zone:
            from edge_runtime.mapping.zones import Zone  # noqa: PLC0415 - the same

            self.zone = Zone(form.zone)

    def read(
        self,
        cells: Sequence[bytes],
        place: Place,
        names: Sequence[str] = ("",),
        codes: NDArray[np.intp] | None = None,
    ) -> NDArray[np.int64]:
        """[rows] nanoseconds since the epoch.

        Args:
            cells: [rows] as they are written.
            place: Where they are.
            names: Machine ids: each machine goes through the hour that daylight saving repeats by itself.
            codes: [rows] each row's place among them; None where all are of the first.

        Raises:
            InputError: One cannot be read; the line is named.
        """
        plain = self._alike(cells)
        if plain is not None:
            return plain
        found = self._by_shape(cells)
        if found is None:
            pairs = [self._time(cell, place, row) for row, cell in enumerate(cells)]
            moments = np.asarray([moment for moment, _ in pairs], np.int64)
            local = np.asarray([is_local for _, is_local in pairs], np.bool_)
        else:
            moments, all_local = found
            local = np.full(len(moments), all_local)
        if self.zone is not None and local.any():
            if not local.all():
                row = int((~local).argmax()) if local[0] else int(local.argmax())
                raise InputError(
                    "some times name their zone, and some do not",
                    where=place.row(row),
                    hint="write all of them alike",
                )
            return self.zone.to_utc(moments, names, codes, place)
        return moments

    def _alike(self, cells: Sequence[bytes]) -> NDArray[np.int64] | None:
        """Times that are written alike from end to end, as most columns are; None for others."""
        length = len(cells[0]) if cells else 0
        # Else one long cell would make an array of as much for each row.
        if not 0 < length <= MAX_LIKE or self._form.format or set(map(len, cells)) != {length}:
            return None
        plain = np.array(cells, f"S{length}")
        letters = plain.view(np.uint8).reshape(len(cells), length)
        try:
            # What is written like this is what numpy reads by itself, a hundred times faster.
            decimals = max(length - len(LIKE) - 1, 0)
            like = f"{LIKE[:-1]}.{'0' * decimals}Z" if decimals else LIKE
            if length == len(like) and (DIGITS_ALIKE[letters] == list(like.encode())).all():
                centuries = plain.astype("S2").astype(np.int64)
                if centuries.min() >= FIRST_CENTURY and centuries.max() <= LAST_CENTURY:
                    moments = plain.astype(f"S{length - 1}").astype("datetime64[ns]")
                    return moments.astype(np.int64)
            elif length <= MAX_DIGITS and (DIGITS_ALIKE[letters] == ord("0")).all():
                counts = np.fromiter(map(int, cells), np.int64, len(cells))
                low, high = int(counts.min()), int(counts.max())
                unit = self._unit_of(low)
                if unit == self._unit_of(high) and unit in EPOCHS:
                    step = UNITS[unit][0]
                    if high <= LATEST // step:  # beyond that it would wrap around
                        return counts * step
        except (ValueError, OverflowError):
            pass
        return None

    def _unit_of(self, count: int) -> str | None:
        """The unit that was named, or the only one of which this number is a moment that can be meant."""
        if self._form.unit:
            return self._form.unit
        fits = [
            name
            for name, (step, zero) in UNITS.items()
            if FIRST_NS <= (count - zero) * step <= self._latest_ns
        ]
        return fits[0] if len(fits) == 1 and fits[0] in EPOCHS else None

    def _by_shape(self, cells: Sequence[bytes]) -> tuple[NDArray[np.int64], bool] | None:
        """Times in which digits stand at the same places, and whether they name no zone; None for others."""
        length = len(cells[0]) if cells else 0
        if len(cells) < FEW or not 0 < length <= MAX_SHAPE or set(map(len, cells)) != {length}:
            return None
        letters = np.array(cells, f"S{length}").view(np.uint8).reshape(len(cells), length)
        alike = DIGITS_ALIKE[letters]
        if (alike != alike[0]).any():
            return None
        match = self._match(alike[0].tobytes().decode("latin-1"))
        if match is None or not {"Y", "m", "d"} <= set(match.groupdict()) or match.groupdict().get("p"):
            return None
        part = {
            name: letters[:, slice(*match.span(name))].astype(np.int64) - ord("0")
            for name, text in match.groupdict().items()
            if text and text.isdigit()
        }
        if self._form.unit or "Y" not in part:
            return None
        zero = np.zeros(len(cells), np.int64)
        year, month, day, hour, minute, second, fraction = (
            part[name] @ 10 ** np.arange(part[name].shape[1])[::-1] if name in part else zero
            for name in "YmdHMSf"
        )
        months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
        days = months.astype("datetime64[D]") + (day - 1)
        good = (days.astype("datetime64[M]") == months) & (month >= 1) & (month <= MAX_MONTH) & (day >= 1)
        good &= (hour < 24) & (minute < 60) & (second < 60) & (year > FIRST_YEAR) & (year < LAST_YEAR)  # noqa: PLR2004
        zone = match.groupdict().get("z")
        ahead = zero
        if zone and zone[0] in "+-":
            digits = [place for place in range(*match.span("z")) if chr(alike[0, place]) == "0"]
            ahead = (letters[:, digits].astype(np.int64) - ord("0")) @ np.array(ZONE_PARTS[: len(digits)])
            good &= ahead < 86_400  # noqa: PLR2004
            if len(digits) == len(ZONE_PARTS):
                good &= letters[:, digits[2]] < ord("6")
            ahead = -ahead if zone[0] == "-" else ahead
        if not good.all():
            return None
        if "f" in part:
            fraction = fraction * 10 ** (9 - part["f"].shape[1])
        seconds = days.astype(np.int64) * 86_400 + hour * 3600 + minute * 60 + second - ahead
        return seconds * SECOND_NS + fraction, not zone

    def _match(self, text: str) -> re.Match[str] | None:
        return next(filter(None, (pattern.fullmatch(text) for pattern in self._patterns)), None)

    def _time(self, cell: bytes, place: Place, row: int) -> tuple[int, bool]:
        """A moment, and whether it names no zone."""
        text = cell.strip()
        number = NUMBER.fullmatch(text) if not self._form.format else None
        found, is_local = None, False
        if number is not None:
            found = self._epoch(int(number[1]), (number[2] or b"").decode())
        elif not self._form.unit and len(text) <= MAX_SHAPE:
            match = self._match(text.decode("utf-8", "replace"))
            if match is not None:
                found, is_local = moment_of(match), not match.groupdict().get("z")
        if found is None or not EARLIEST <= found <= LATEST:
            from edge_runtime.mapping.refused import refused_time  # noqa: PLC0415 - for mistakes alone

            raise refused_time(cell, place.row(row), self._form)
        return found, is_local

    def _epoch(self, whole: int, fraction: str) -> int | None:
        unit = self._unit_of(whole)
        if unit is None:
            return None
        step, zero = UNITS[unit]
        rest: int = int(fraction or 0) * step // int(10 ** len(fraction))
        if unit == "excel":
            rest = (rest + EXCEL_STEP_NS // 2) // EXCEL_STEP_NS * EXCEL_STEP_NS
        return (whole - zero) * step + rest
