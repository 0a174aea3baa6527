"""What to say of a cell that is no time: what it is taken for, and what to type."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError
from edge_runtime.mapping.cells import shown
from edge_runtime.mapping.form import EPOCHS, FIRST_NS, LAST_NS, UNITS
from edge_runtime.mapping.formats import pattern_of
from edge_runtime.mapping.header import CLOCK
from edge_runtime.mapping.times import NUMBER
from edge_runtime.timeparse import moment_of

if TYPE_CHECKING:
    from edge_runtime.mapping.form import TimeForm

__all__ = ["refused_time"]

# A day and a month that may be either.
SLASHES = re.compile(
    rb"(\d{1,2})([-/])(\d{1,2})[-/](\d{4}|\d\d)(?: +(\d{1,2}:\d\d(:\d\d)?(\.\d+)?( *[AaPp][Mm])?))?"
)
# A time without marks between its parts, by its number of digits.
COMPACT = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f"}
NAMED_ZONE = re.compile(rb".*[0-9] *([A-Z]{3,4})")
MAX_MONTH, MAX_DAY = 12, 31


def refused_time(cell: bytes, where: str, form: TimeForm) -> InputError:
    """The error for a cell that cannot be read as a time of this form."""
    text = cell.strip()
    what = f"'{shown(cell)}' is not a time, or none of the years 1677 to 2262"
    hint = "write 2026-01-31T08:00:00Z"
    if not text:
        what = "there is no time"
    elif form.format:
        what, hint = f"'{shown(cell)}' is not a time of the format {form.format}", "correct --time-format"
    elif form.unit:
        what, hint = f"'{shown(cell)}' is not a time in the unit {form.unit}", "correct --time-unit"
    elif (number := NUMBER.fullmatch(text)) is not None:
        what = f"the number '{shown(cell)}' may be a time, but its unit cannot be told"
        hint = _of_number(int(number[1]), text.decode())
    elif CLOCK.fullmatch(text):
        what = f"'{shown(cell)}' is a time of the day without a date"
        hint = "name both columns, as in --time-column Date --time-column Time"
    elif (found := SLASHES.fullmatch(text)) is not None:
        what = f"'{shown(cell)}' is a time whose day and month may be either"
        hint = " or ".join(f'--time-format "{choice}"' for choice in _of_slashes(found))
    elif NAMED_ZONE.fullmatch(text):
        what = f"'{shown(cell)}' names a zone by letters that may mean several"
        hint = "write +01:00 instead, or leave them out and give --time-zone, such as Europe/Berlin"
    return InputError(what, where=where, hint=hint)


def _of_number(whole: int, text: str) -> str:
    """The units of which a number is a moment between 1990 and 2200."""
    choices = [
        f"--time-unit {name}"
        for name, (step, zero) in UNITS.items()
        if FIRST_NS <= (whole - zero) * step <= LAST_NS
    ]
    written = COMPACT.get(len(text)) if text.isdigit() else None
    match = None if written is None else pattern_of(written).fullmatch(text)
    moment = None if match is None else moment_of(match)
    if moment is not None and FIRST_NS <= moment <= LAST_NS:
        choices.insert(0, f'--time-format "{written}"')
    return " or ".join(choices or [f"--time-unit {name}" for name in EPOCHS])


def _of_slashes(found: re.Match[bytes]) -> list[str]:
    """The formats that a date such as 01/02/2026 may have."""
    mark = found[2].decode()
    year = "%Y" if len(found[4]) == len("2026") else "%y"
    clock = ""
    if found[5]:
        half = found[8] is not None
        clock = f" {'%I' if half else '%H'}:%M{':%S' if found[6] else ''}{'.%f' if found[7] else ''}"
        clock += " %p" if half else ""
    first, second = int(found[1]), int(found[3])
    forms = []
    if second <= MAX_MONTH and first <= MAX_DAY:
        forms.append(f"%d{mark}%m{mark}{year}{clock}")
    if first <= MAX_MONTH and second <= MAX_DAY:
        forms.append(f"%m{mark}%d{mark}{year}{clock}")
    return forms or ["%Y-%m-%d %H:%M:%S"]
