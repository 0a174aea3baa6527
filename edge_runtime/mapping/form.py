"""The tables `[map]` and `[data]`: where times and machine ids are, and how cells are written."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.config import setting
from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EPOCHS",
    "FIRST_NS",
    "LAST_NS",
    "MACHINE_NAMES",
    "ONE_MACHINE",
    "PLAIN",
    "TIME_NAMES",
    "UNITS",
    "Columns",
    "DefaultMachine",
    "Form",
    "RecordForm",
    "TimeForm",
]

# Names that are looked for, in this order and in any case, where a person named no column.
TIME_NAMES = ("time", "timestamp", "datetime", "_time", "date", "ts")
MACHINE_NAMES = ("machine_id", "machine")
ONE_MACHINE = "machine"
# Units of a number that is a time: nanoseconds a step, and the number that 1970 has.
UNITS = {
    "s": (1_000_000_000, 0),
    "ms": (1_000_000, 0),
    "us": (1_000, 0),
    "ns": (1, 0),
    "excel": (86_400_000_000_000, 25_569),
    "filetime": (100, 116_444_736_000_000_000),
    "ticks": (100, 621_355_968_000_000_000),
}
EPOCHS = ("s", "ms", "us", "ns")
# 1990 and 2200: what is called an epoch without its unit being named lies between them.
FIRST_NS, LAST_NS = 631_152_000_000_000_000, 7_258_118_400_000_000_000
SEPARATORS = (".", ",", "'", " ", "\u00a0", "\u202f")


@dataclass(frozen=True, slots=True)
class TimeForm:
    """How times are written, where that cannot be told by looking at them."""

    from_: tuple[str, ...] = setting(
        (),
        "Column, or JSON key, of the times. Give two if the date and the time of day are in two columns. "
        'Without it, "time" or a similar name is looked for.',
        flag="--time-column",
    )
    format: str = setting(
        "",
        'Format of the times, such as "%m/%d/%Y %H:%M:%S", with the directives of strptime.',
        flag="--time-format",
    )
    unit: str = setting(
        "",
        f"Unit of times that are numbers: {', '.join(UNITS)}. Without it, the unit is found where it can be "
        "one alone.",
        flag="--time-unit",
    )
    zone: str = setting(
        "",
        "Time zone of times that do not name one, such as Europe/Berlin. Without it, they are UTC.",
        flag="--time-zone",
    )

    def __post_init__(self) -> None:
        if self.unit and self.unit not in UNITS:
            raise UsageError(
                f"'{self.unit}' is no unit of times",
                where="--time-unit",
                hint=f"there are: {', '.join(UNITS)}",
            )
        if self.unit and self.format:
            raise UsageError("times have a format or a unit", where="--time-format, --time-unit")
        if len(self.from_) > 2:  # noqa: PLR2004 - a date and a time of day
            raise UsageError("times are in one column, or in two", where="--time-column")


@dataclass(frozen=True, slots=True)
class RecordForm:
    """Where times and machine ids are, and how times are written."""

    time: TimeForm = setting(TimeForm(), "How times are written.")
    machine: str = setting(
        "",
        'Column, or JSON key, of the machine ids. Without it, "machine_id" or "machine" is looked for.',
        flag="--machine-column",
    )


@dataclass(frozen=True, slots=True)
class Form(RecordForm):
    """The same of a text of cells, and how its numbers are written."""

    decimal: str = setting(
        "", 'Decimal mark of the numbers, "." or ",". Without it, the mark is found.', flag="--decimal"
    )
    thousands: str = setting("", 'Mark between groups of three digits, such as ".".', flag="--thousands")
    missing: tuple[str, ...] = setting(
        (), 'Word or number that stands for a missing reading, such as "Bad" or -999.', flag="--missing"
    )
    delimiter: str = setting(
        "", "Character between two cells. Without it, the delimiter is found.", flag="--delimiter"
    )
    skip_rows: int = setting(0, "Number of lines before the header to leave out.", flag="--skip-rows")
    encoding: str = setting(
        "",
        "Encoding of the text, such as cp1252. Without it, UTF-8 and UTF-16 are recognised.",
        flag="--encoding",
    )

    def __post_init__(self) -> None:
        if self.decimal not in ("", ".", ","):
            raise UsageError(f"'{self.decimal}' is no decimal mark", where="--decimal", hint="use . or ,")
        if self.thousands and self.thousands not in SEPARATORS:
            raise UsageError(
                f"'{self.thousands}' cannot stand between thousands",
                where="--thousands",
                hint="use . , ' or space",
            )
        if self.thousands and self.thousands == (self.decimal or "."):
            raise UsageError(
                f"'{self.thousands}' cannot be both marks",
                where="--decimal, --thousands",
                hint='name the decimal mark, too, such as --decimal ","',
            )
        if self.delimiter and (len(self.delimiter) > 1 or self.delimiter in '"\r\n'):
            raise UsageError(
                f"'{self.delimiter}' is no delimiter", where="--delimiter", hint="use one character"
            )
        if self.skip_rows < 0:
            raise UsageError("there are no fewer than 0 lines", where="--skip-rows")
        if self.encoding and not _is_encoding(self.encoding):
            raise UsageError(
                f"'{self.encoding}' is no encoding of text", where="--encoding", hint="such as cp1252"
            )


PLAIN = Form()


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read.

    Attributes:
        sensors: In the order of the bundle.
        time: The column of times, or "time" for that or one with a name like it; "" to read none.
        machine: The column of machine ids, or "machine_id" for that or "machine"; may be missing in the data.
        default_machine: The id of every row where it is.
        form: How cells are written.
    """

    sensors: tuple[str, ...]
    time: str = TIME_NAMES[0]
    machine: str = MACHINE_NAMES[0]
    default_machine: str = ONE_MACHINE
    form: Form = PLAIN

    @classmethod
    def of(cls, sensors: Sequence[str], form: RecordForm, default_machine: str = ONE_MACHINE) -> Columns:
        """The columns that a form names, or the usual ones."""
        form = form if isinstance(form, Form) else Form(form.time, form.machine)
        time = form.time.from_[0] if form.time.from_ else TIME_NAMES[0]
        return cls(tuple(sensors), time, form.machine or MACHINE_NAMES[0], default_machine, form)


@dataclass(frozen=True, slots=True)
class DefaultMachine:
    """What a machine is called whose rows do not say so."""

    machine: str = setting("machine", "Id of a machine whose rows do not name one.")


def _is_encoding(name: str) -> bool:
    try:
        "".encode(name)  # which refuses what is none of text, such as base64
        codecs.getincrementaldecoder(name)
    except LookupError:
        return False
    return True
