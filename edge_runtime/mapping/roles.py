"""What a column is for, by its name and its cells, and why: a rule that can be printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from edge_runtime.errors import listed, printable
from edge_runtime.mapping.form import UNITS
from edge_runtime.mapping.sums import sums
from edge_runtime.timeparse import written_time

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from edge_runtime.mapping.facts import Facts

__all__ = ["EMPTY", "LABEL_NAMES", "Role", "RoleOf", "aligned", "roles", "table"]

MAX_NAME = 60
EMPTY = "it is empty"

# Names of columns that label rows, in any case.
LABEL_NAMES = frozenset(
    (
        *("anomaly", "is_anomaly", "anomalous", "label", "labels", "kind", "changepoint", "change_point"),
        *("fault", "is_fault", "failure", "outlier", "is_outlier", "target", "class", "attack"),
    )
)
QUALITY = re.compile(r"(^|[_ .])(quality|qual|q|status|state|flags?|code|mode|qc)($|[_ .])", re.IGNORECASE)
# As pandas writes its index.
NAMELESS = re.compile(r"|unnamed: \d+|__index_level_\d+__", re.IGNORECASE)
TRUTH = frozenset(("true", "false", "yes", "no", "on", "off", "t", "f"))
# A column with so few words, and so many numbers, may be one of a sensor.
FEW_WORDS, LEAST_NUMBERS = 8, 0.05
# Fewer rows rise by chance.
MIN_RISES = 30
# A second clock may be in another zone.
CLOCK_NS = 15 * 3_600_000_000_000


class Role(StrEnum):
    """What a column is for."""

    TIME = "time"
    MACHINE = "machine"
    SENSOR = "sensor"
    LABEL = "label"
    KEY = "key of the labels"
    LEFT_OUT = "left out"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class RoleOf:
    """The role of one column.

    Attributes:
        name: The column.
        role: What it is for.
        why: The rule.
        hint: What to type where it is unclear, or where it may be meant otherwise; "" where there is nothing.
    """

    name: str
    role: Role
    why: str
    hint: str = ""

    @property
    def shown(self) -> str:
        """The name, for people."""
        return printable(self.name, MAX_NAME) or "''"


def table(columns: Sequence[RoleOf]) -> Iterator[str]:
    """The roles as lines for people."""
    rows = [("column", "role", "why")]
    rows += [(one.shown, one.role.value, one.why) for one in columns]
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of cells that stand one below the other."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def roles(
    facts: Sequence[Facts],
    time: Sequence[str],
    machine: str | None,
    *,
    named: Sequence[str] = (),
    labels: Collection[str] = LABEL_NAMES,
) -> list[RoleOf]:
    """The role of each column.

    Args:
        facts: Of each column.
        time: The columns of the times.
        machine: The column of the machine ids; None for none.
        named: Columns that a person called sensors: they are, whatever the rules say.
        labels: Names, in lower case, of columns that label rows.
    """
    found = []
    seen: dict[bytes, str] = {}
    for column in facts:
        if column.name in time:
            found.append(RoleOf(column.name, Role.TIME, "by its name"))
        elif column.name == machine:
            found.append(RoleOf(column.name, Role.MACHINE, "by its name"))
        elif named:
            is_named = column.name in named
            role = Role.SENSOR if is_named else Role.LEFT_OUT
            found.append(
                RoleOf(column.name, role, "named by --sensor" if is_named else "not named by --sensor")
            )
        else:
            found.append(_role(column, seen, labels))
    return found if named else _with_sums(found, {column.name: column for column in facts})


def _with_sums(found: Sequence[RoleOf], facts: Mapping[str, Facts]) -> list[RoleOf]:
    """The same roles; a sensor that is the sum of others is said to be.

    It stays one: that of a meter tells of a leak when it is the sum no longer.
    """
    summed = sums({one.name: facts[one.name].sample for one in found if one.role is Role.SENSOR})
    return [
        replace(one, why=f"{one.why}; the sum of {_quoted(summed[one.name])}", hint=f'--drop "{one.name}"')
        if one.name in summed
        else one
        for one in found
    ]


def _left_out(name: str, why: str) -> RoleOf:
    return RoleOf(name, Role.LEFT_OUT, why, f'--sensor "{name}"')


def _quoted(names: Sequence[str]) -> str:
    return listed([f"'{printable(name, MAX_NAME)}'" for name in names])


def _role(column: Facts, seen: dict[bytes, str], labels: Collection[str]) -> RoleOf:
    name = column.name
    if name.lower() in labels:
        return RoleOf(name, Role.LABEL, "by its name", f'--label-column "{name}"')
    # Mostly text; but many numbers beside few words are those of a sensor that failed for long.
    few_words = len(column.words) <= FEW_WORDS and column.numbers >= LEAST_NUMBERS * column.rows
    if not column.numbers or (column.numbers <= column.other and not few_words):
        return RoleOf(name, Role.LEFT_OUT, _why_no_numbers(column))
    if column.other:
        words = _words(column)
        many = f"{column.other:,} of {column.rows:,} rows"
        why = f"holds numbers, and {words} in {many}, first in {column.first_word}"
        return RoleOf(name, Role.UNCLEAR, why, " ".join(f'--missing "{word}"' for word in column.words))
    why_not = next((why for holds, why in _rules(column) if holds), None)
    if why_not is None and column.digest in seen:
        why_not = f"it is a copy of '{seen[column.digest]}'"
    if why_not is not None:
        return _left_out(name, why_not)
    seen[column.digest] = name
    if column.skipped:
        return RoleOf(name, Role.SENSOR, "numbers that rise and fall")
    empty = f", {column.empty:,} of {column.rows:,} empty" if column.empty else ""
    return RoleOf(name, Role.SENSOR, f"numbers from {column.low:g} to {column.high:g}{empty}")


def _words(column: Facts) -> str:
    return ", ".join(f"'{word}'" for word, _ in column.words.most_common(3))


def _why_no_numbers(column: Facts) -> str:
    if column.rows == column.empty:
        return EMPTY
    if {word.lower() for word in column.words} <= TRUTH:
        return f"it is true or false ({_words(column)})"
    if any(written_time(sample) for sample in column.samples):
        return "it is a second time"
    return f"it is text, such as {_words(column)}"


def _rules(column: Facts) -> Iterator[tuple[bool, str]]:
    """By which a column of numbers is no sensor: whether each holds, and what it says; the first counts."""
    yield column.low == column.high, f"it is always {column.low:g}"
    rises = column.rises >= MIN_RISES and not column.falls
    by_one = column.steps == {1.0}
    nameless = NAMELESS.fullmatch(column.name) is not None
    yield nameless and column.whole, "it has no name and whole numbers, as an index of pandas has"
    yield _is_clock(column), "it is a second clock"
    yield rises and by_one, "it numbers the rows"
    yield rises and column.whole, "it only rises, as a counter does"
    yield column.padded == column.numbers, "its numbers have leading zeros, as names do"
    few = column.whole and column.distinct is not None
    yield few and (column.distinct or set()) <= {0.0, 1.0}, "it is 0 or 1"
    code = few and QUALITY.search(column.name) is not None
    yield code, "it is a code of quality or state, by its name and few whole numbers"
    yield column.is_narrow, "its numbers are too close together for float32"


def _is_clock(column: Facts) -> bool:
    """Whether its first and its last number are the times of their rows in some unit."""
    if column.first is None or column.last is None or column.falls > column.rises:
        return False
    ends = (column.first, column.last)
    return any(
        all(abs((value - zero) * step - time) <= CLOCK_NS for value, time in ends)
        for step, zero in UNITS.values()
    )
