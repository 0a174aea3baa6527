"""InfluxDB's line protocol to readings, as Telegraf and others write it.

Lines of a stream are mostly alike: the keys of the first one make a pattern, with which a whole block is read
at once. What the pattern does not fit is read line by line, with all that the format allows.
"""

from __future__ import annotations

import re
from contextlib import suppress
from struct import Struct
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError, UsageError
from edge_runtime.mapping.cells import MAX_MACHINE_LETTERS, NOT_MAPPED, Place, check_machine, codes, shown
from edge_runtime.mapping.form import EPOCHS, FIRST_NS, UNITS
from edge_runtime.mapping.numbers import as_float32, floats
from edge_runtime.records import NO_TIME, Readings
from edge_runtime.timeparse import LATEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.mapping.cells import Unmapped
    from edge_runtime.mapping.form import Columns

__all__ = ["LineProtocol", "is_line_protocol"]


# A letter after a backslash is itself. Such pairs are masked before a line is matched, so that the patterns
# need not know them: a repetition of "a letter or a pair" keeps a hundred bytes of each until it ends. The
# value of a field has pairs in quotes alone.
PAIR, MASK = re.compile(rb"\\.", re.DOTALL), b"\0\0"
# Text in quotes holds everything. All repetition is possessive: what was taken is never tried again another
# way, so that time grows with a line's length, not with its square. Repetitions of groups are atomic groups,
# (?>(?:…)+) and not (?:…)++, which Python before 3.11.5, such as that of Debian 12, also lets match in the
# middle of a group (CPython issue 106052).
TEXT = rb'"[^\\"]*+"'
LINE = re.compile(
    rb"([^\\ ]++) ++((?>(?:[^\\ \"]++|" + TEXT + rb")+))(?: ++(-?\d{1,19}))? *+\r?",
)
KEY, TAG_VALUE = rb"[^\\,=]++", rb"[^\\,]*+"
FIELD_VALUE = rb"(?:" + TEXT + rb'|[^,"\\\0]++)'
HEAD = re.compile(rb"([^\\,]++)(?>(?:,++" + KEY + rb"=" + TAG_VALUE + rb")*),*+")
BODY = re.compile(rb"(?>(?:" + KEY + rb"=" + FIELD_VALUE + rb"(?:,|\Z))+)")
TAGS = re.compile(rb",(" + KEY + rb")=(" + TAG_VALUE + rb")")
FIELDS = re.compile(rb"(" + KEY + rb")=(" + FIELD_VALUE + rb")")
ESCAPE = re.compile(rb"\\([,= \"\\])")
NUMBER = re.compile(rb"([-+.0-9eE]+)[iu]?")
# A CSV's column may have quotation marks, and so may the value of a tag, but not the name of a measurement.
FIRST_NAME, FIRST_FIELD = rb'[^\\ ,{"]++', rb" [^\\ ,=]++="
FIRST_TAG = rb',[^\\ ,="]++=[^\\ ,]++'
FIRST_LINE = re.compile(rb'(?:[^\\ {"]++|' + FIRST_NAME + rb"(?>(?:" + FIRST_TAG + rb")+))" + FIRST_FIELD)
# A letter of a value without escapes and quotes.
PLAIN = rb'[^ ,="\\\0\r\n]'
MOMENT = np.zeros(1, np.int64)
WITHOUT_TIME = str(NO_TIME).encode()
# A pattern is made of lines up to this long; a longer one is read alone, which takes no more time.
MAX_PATTERN_BYTES = 4096
MAX_PATIENCE = 1023
# Of tags and fields together, as far as commas tell: a hundred times what a machine has sensors.
MAX_PAIRS = 1 << 14
MAX_NAMES = 4096
# A machine id with more bytes than these is too long, whatever is escaped in it.
MAX_ESCAPED = 8 * MAX_MACHINE_LETTERS
# Groups of the pattern that are no fields, and cannot be taken for one.
TAG, TIME = b"\n tag", b"\n time"


def is_line_protocol(line: bytes) -> bool:
    """Whether a stream that begins with this line is line protocol."""
    return FIRST_LINE.match(_masked(line)) is not None


class LineProtocol:
    """Reads blocks of lines, of any measurement.

    Args:
        columns: Which fields to read, and the machine's tag.
        where: What the lines are of, for errors.
        unmapped: Takes the fields of lines with none of the sensors.
    """

    def __init__(self, columns: Columns, where: str, unmapped: Unmapped) -> None:
        self._columns = columns
        self._where = where
        self._unmapped = unmapped
        self._pattern: re.Pattern[bytes] | None = None
        # What the pattern's groups are: a field's name, TAG or TIME.
        self._groups: list[bytes] = []
        # How many texts in a row did not fit it, and how many may until another one is made.
        self._strange, self._patience = 0, 0
        self._sensors = [sensor.encode() for sensor in columns.sensors]
        self._tag = columns.machine.encode()
        self._bare = {key.translate(None, b"\\") for key in (*self._sensors, self._tag)}
        # What `_one` made of tags before.
        self._names: dict[bytes, str] = {}
        named = columns.form.time.unit
        self._step = UNITS[named or "ns"][0]
        if named and named not in EPOCHS:
            raise UsageError(
                f"line protocol has no times in {named}",
                where="--time-unit",
                hint=f"use {' or '.join(EPOCHS)}",
            )
        # Before this a time is one of another unit, unless its unit was named.
        self._least = -LATEST if named else FIRST_NS
        self._blank = np.zeros((1, len(self._sensors)), np.float32)
        self._put_row = Struct(f"={len(self._sensors)}f").pack_into

    def parse(self, text: bytes, first_line: int) -> tuple[Readings, dict[str, int]]:
        """Whole lines to readings, and how many lines were left out, by reason.

        The time of a line that has none is `NO_TIME`. A line with none of the bundle's sensors, as of
        another measurement, is left out.

        Raises:
            InputError: A line cannot be read; it is named.
        """
        place = Place(self._where, first_line)
        lines = text.count(b"\n") + (not text.endswith(b"\n"))
        found: list[Any] = self._pattern.findall(text) if self._pattern else []
        if len(found) == lines:
            self._strange, self._patience = 0, 1
        elif self._is_to_learn():
            self._learn(text.partition(b"\n")[0])
            found = self._pattern.findall(text) if self._pattern else []
        if len(found) != lines:
            return self._one_by_one(text, place)
        if lines == 1 and len(self._groups) > 1:
            with suppress(ValueError, OverflowError, InputError):  # what is wrong is said below
                return self._one(found[0]), {}
        return self._block(found, place), {}

    def _is_to_learn(self) -> bool:
        """Whether a text that does not fit is worth a pattern, which may take milliseconds.

        The first one is; then one of two in a row; and the longer no pattern fits anything, the fewer.
        """
        self._strange += 1
        if self._strange <= self._patience:
            return False
        self._strange, self._patience = 0, min(2 * self._patience + 1, MAX_PATIENCE)
        return True

    def _learn(self, line: bytes) -> None:
        """Makes the pattern out of a line's keys; none of a comment, or with quotes, escapes or no sensor."""
        if len(line) > MAX_PATTERN_BYTES or line.startswith(b"#") or b"\\" in line or b'"' in line:
            return
        whole = LINE.fullmatch(line.removesuffix(b"\r"))
        # Out of a line that is none, or that ends in a comma, it would let empty keys pass.
        if whole is None or HEAD.fullmatch(whole[1]) is None or BODY.fullmatch(whole[2]) is None:
            return
        measurement, *tags = whole[1].split(b",")
        keys = [tag.partition(b"=")[0] for tag in tags]
        fields = [field.partition(b"=")[0] for field in whole[2].split(b",")]
        if b"" in keys or b"" in fields or not set(fields) & set(self._sensors):
            return
        groups, head, body = list[bytes](), [re.escape(measurement)], list[bytes]()
        for key in keys:
            head.append(re.escape(key) + (b"=(%s*)" if key == self._tag else b"=%s*") % PLAIN)
            groups += [TAG] if key == self._tag else []
        for key in fields:
            body.append(re.escape(key) + b"=" + (NUMBER.pattern if key in self._sensors else PLAIN + b"+"))
            groups += [key] if key in self._sensors else []
        end = b""
        if whole[3]:
            end = rb" (-?\d{1,19})"
            groups.append(TIME)
        self._groups = groups
        self._pattern = re.compile(
            b"^" + b",".join(head) + b" " + b",".join(body) + end + rb"\r?$", re.MULTILINE
        )

    def _one(self, cells: tuple[bytes, ...]) -> Readings:
        """What the pattern gave of one line, without the machinery for columns."""
        found = dict(zip(self._groups, cells, strict=True))
        cell = found.get(TAG, b"")
        name = self._names.get(cell) or self._name(cell)
        moment = int(found[TIME]) * self._step if TIME in found else NO_TIME
        if moment < self._least and TIME in found:
            raise InputError("of another unit")
        # As C rounds a float64 to a float32; one that is too large is an OverflowError.
        readings, times = self._blank.copy(), MOMENT.copy()
        self._put_row(readings.data, 0, *[float(found.get(key, b"nan")) for key in self._sensors])
        times[0] = moment
        return Readings.coded((name,), None, times, readings)

    def _unescaped(self, key: bytes) -> bytes:
        """A key that is read, without the backslashes that only protect a letter; others as they are."""
        return ESCAPE.sub(rb"\1", key) if key.translate(None, b"\\") in self._bare else key

    def _name(self, cell: bytes) -> str:
        """A machine's id out of its tag; an InputError where it cannot be one."""
        name = cell.decode().strip() or self._columns.default_machine
        check_machine(name)
        if len(self._names) >= MAX_NAMES:
            self._names.clear()
        self._names[cell] = name
        return name

    def _block(self, found: list[Any], place: Place) -> Readings:
        """What the pattern gave to readings."""
        # Of a pattern with one group, it is the group; of one with several, a tuple of them.
        cells = [tuple(found)] if len(self._groups) == 1 else zip(*found, strict=True)
        columns = dict(zip(self._groups, cells, strict=True))
        rows = len(found)
        nothing = np.full(rows, np.nan)
        numbers = [
            floats(columns[key], name, place) if key in columns else nothing
            for key, name in zip(self._sensors, self._columns.sensors, strict=True)
        ]
        names: tuple[str, ...] = (self._columns.default_machine,)
        of_row = None
        if TAG in columns:
            names, of_row = codes(columns[TAG], self._columns.default_machine, place)
        return Readings.coded(names, of_row, self._times(columns.get(TIME), rows, place), as_float32(numbers))

    def _times(self, cells: Sequence[bytes] | None, rows: int, place: Place) -> NDArray[np.int64]:
        if cells is None:
            return np.full(rows, NO_TIME, np.int64)
        try:
            counts = np.fromiter(map(int, cells), np.int64, rows)
        except OverflowError:
            raise InputError("a time is beyond int64 nanoseconds", where=place.row(0)) from None
        if self._step == 1 and counts.min(initial=LATEST) >= self._least:
            return counts
        there = counts != NO_TIME
        far = there & ((counts > LATEST // self._step) | (counts < -(LATEST // self._step)))
        if far.any():
            raise self._refused(counts, far, place)
        moments = np.where(there, counts * self._step, NO_TIME)
        early = there & (moments < self._least)
        if early.any():
            raise self._refused(counts, early, place)
        return moments

    def _refused(self, counts: NDArray[np.int64], bad: NDArray[np.bool_], place: Place) -> InputError:
        """The error for a time that cannot be meant in this unit."""
        from edge_runtime.mapping.refused import refused_time  # noqa: PLC0415 - for mistakes alone

        row = int(bad.argmax())
        return refused_time(str(counts[row]).encode(), place.row(row), self._columns.form.time)

    def _one_by_one(self, text: bytes, place: Place) -> tuple[Readings, dict[str, int]]:
        """Lines as the format allows them."""
        rows, skipped = [], 0
        for number, line in enumerate(text.split(b"\n")):
            if line.strip() and not line.startswith(b"#"):
                row = self._row(line, place, number)
                if row is None:
                    skipped += 1
                else:
                    rows.append(row)
        if not rows:
            return Readings.empty(len(self._sensors)), {NOT_MAPPED: skipped} if skipped else {}
        tags, moments, values = zip(*rows, strict=True)
        names, of_row = codes(tags, self._columns.default_machine, place)
        columns = [np.asarray(column, np.float64) for column in zip(*values, strict=True)]
        readings = Readings.coded(names, of_row, self._times(moments, len(rows), place), as_float32(columns))
        return readings, {NOT_MAPPED: skipped} if skipped else {}

    def _row(self, line: bytes, place: Place, number: int) -> tuple[bytes, bytes, list[float]] | None:
        """Machine id, time and values of one line; None when it is of another measurement."""
        if line.count(b",") > MAX_PAIRS:
            raise InputError(f"it has more than {MAX_PAIRS:,} tags and fields", where=place.row(number))
        line = line.removesuffix(b"\r")
        masked = _masked(line)
        if masked.count(b'"') > 2 * MAX_PAIRS:
            raise InputError(f"it has more than {2 * MAX_PAIRS:,} quotation marks", where=place.row(number))
        whole = LINE.fullmatch(masked)
        head = whole and HEAD.fullmatch(masked, *whole.span(1))
        if whole is None or head is None or BODY.fullmatch(masked, *whole.span(2)) is None:
            raise InputError(f"'{shown(line)}' is not line protocol", where=place.row(number))
        fields = dict(_pairs(FIELDS, masked, line, whole.span(2)))
        tags = _pairs(TAGS, masked, line, (head.end(1), whole.end(1)))
        if masked is not line:
            fields = {self._unescaped(key): value for key, value in fields.items()}
            tags = [(self._unescaped(key), value) for key, value in tags]
        machine = dict(tags).get(self._tag, b"")
        if len(machine) <= MAX_ESCAPED:
            machine = ESCAPE.sub(rb"\1", machine)
        if not fields.keys() & set(self._sensors):
            self._unmapped.add(key.decode("utf-8", "replace") for key in fields)
            return None
        values = []
        for key, name in zip(self._sensors, self._columns.sensors, strict=True):
            try:
                values.append(_number(fields.get(key, b"nan")))
            except ValueError:
                raise InputError(
                    f"field '{name}' holds '{shown(fields[key])}', not a number", where=place.row(number)
                ) from None
        return machine, whole[3] or WITHOUT_TIME, values


def _masked(line: bytes) -> bytes:
    """The line with each escaped letter, and the backslash before it, made a letter that means nothing."""
    return PAIR.sub(MASK, line) if b"\\" in line else line


def _pairs(
    pattern: re.Pattern[bytes], masked: bytes, line: bytes, span: tuple[int, int]
) -> list[tuple[bytes, bytes]]:
    """Keys and values as the line has them, where the pattern finds them in the masked line."""
    if masked is line:
        return pattern.findall(line, *span)
    found = pattern.finditer(masked, *span)
    return [(line[slice(*pair.span(1))], line[slice(*pair.span(2))]) for pair in found]


def _number(value: bytes) -> float:
    found = NUMBER.fullmatch(value)
    if b"_" in value:  # which Python would leave out
        raise ValueError
    return float(found[1] if found else value)
