"""Which column holds the labels: the one that is named, or `anomaly` with 0 and 1.

Any other column that looks like labels is refused: as a sensor it would give the answer away, and without it
anomalies would be learnt as normal.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from trainer.data.label_words import KNOWN_WORDS, Cells, key_of, meaning_of, simplified

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from trainer.data.label_words import Meaning

__all__ = ["KIND_COLUMN", "LABEL_COLUMN", "LabelChoice", "choose_labels"]

# As `edge-train prepare` writes them.
LABEL_COLUMN, KIND_COLUMN = "anomaly", "kind"
# Without case, spaces and signs, such as Is_Anomaly, Machine failure, fault_code or Normal/Attack.
LABEL_NAME = re.compile(
    r"(is|has|machine)?(anomal(y|ies|ous)|abnormal|faults?|faulty|failures?|defects?|broken|outliers?|attacks?"
    r"|changepoints?|labels?|target|class|groundtruth|normal)(labels?|flag|code|type|class)?|attflag|normalattack"
)
# Columns of these names are labels only where a well-known word is in them.
STATUS_NAMES = frozenset(
    {"status", "state", "condition", "machinestatus", "machinestate", "machinecondition"}
)
# A column with more different values is none of labels, if nobody says so.
MAX_VALUES = 20


@dataclass(frozen=True, slots=True)
class LabelChoice:
    """What was said about labels.

    Attributes:
        column: The column of the labels; None for `anomaly` with 0 and 1, where there is one.
        normal: Values of normal rows; empty where the values say it themselves.
        ignore: Values of rows to ignore.
        drop: Columns to leave out: neither sensors nor labels.

    Raises:
        UsageError: The choices contradict one another.
    """

    column: str | None = None
    normal: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for option, values in (("--normal-value", self.normal), ("--ignore-value", self.ignore)):
            if values and self.column is None:
                raise UsageError("requires --label-column", where=option)
        for word in self.ignore:
            if key_of(word) in map(key_of, self.normal):
                raise UsageError(f"'{word}' is named as normal as well", where="--ignore-value")
        if self.column is not None and self.column in self.drop:
            raise UsageError(f"'{self.column}' is named as the label as well", where="--drop")

    def refuse_twice(self, others: Mapping[str, Collection[str | None]]) -> None:
        """Refuses a column that is a label or left out, and something else besides.

        Args:
            others: Option to the columns that it names.

        Raises:
            UsageError: There is one.
        """
        for option, names in others.items():
            for own, chosen in (("--label-column", (self.column,)), ("--drop", self.drop)):
                for name in chosen:
                    if name is not None and name in names:
                        raise UsageError(f"'{name}' is named with {option} as well", where=own)


def choose_labels(
    names: Sequence[str],
    choice: LabelChoice,
    taken: Collection[str | None],
    look: Callable[[Sequence[str]], Mapping[str, Cells]],
    where: str,
    elsewhere: str = "",
) -> Meaning | None:
    """The column of the labels and what its cells mean; None for tables without labels.

    Args:
        names: The columns of all tables that are read together, each once.
        choice: What was said about labels.
        taken: Columns that are known to be something else, such as the time or a named sensor.
        look: Gives the cells of columns, over all of the tables.
        where: What to call the tables in an error.
        elsewhere: The option that says that labels come from elsewhere; "" where none does.

    Raises:
        UsageError: A column looks like labels and nobody says what it is, or it is not clear which rows are
            normal: says what to type.
    """
    known = {*taken, *choice.drop}
    wanted = [name for name in names if name == choice.column or (name not in known and _may_be_labels(name))]
    found = look(wanted) if wanted else {}
    column = choice.column
    if column is None and not elsewhere and LABEL_COLUMN in found and _is_canonical(found[LABEL_COLUMN]):
        column = LABEL_COLUMN
    others = [name for name in wanted if name != column and _looks_like_labels(name, found[name])]
    if others:
        raise _refusal(others, found, elsewhere or (f"'{column}'" if column is not None else ""), where)
    if column is None:
        return None
    return meaning_of(column, found[column], choice.normal, choice.ignore)


def _is_canonical(cells: Cells) -> bool:
    """Whether these are 0 and 1 as `edge-train prepare` writes them, with empty cells or without."""
    return "0" in cells.filled and cells.filled <= {"0", "1"}


def _may_be_labels(name: str) -> bool:
    return LABEL_NAME.fullmatch(simplified(name)) is not None or simplified(name) in STATUS_NAMES


def _looks_like_labels(name: str, cells: Cells) -> bool:
    if simplified(name) in STATUS_NAMES:
        return bool(cells.filled & KNOWN_WORDS)
    fractions = any("." in key for key in cells.filled if key[-1:].isdigit())
    return 0 < len(cells.filled) <= MAX_VALUES and not fractions


def _refusal(names: list[str], found: Mapping[str, Cells], beside: str, where: str) -> UsageError:
    """Says which columns look like labels, beside those that are known, and what to type."""
    first, cells = names[0], found[names[0]]
    drops = [word for name in names for word in ("--drop", name)]
    if beside:
        hint = f"to leave {'it' if len(names) == 1 else 'them'} out, add {shlex.join(drops)}"
    else:
        words = ["--label-column", first]
        try:
            meaning_of(first, cells)
        except UsageError:
            words += ["--normal-value", cells.likely_normal()]
        hint = f"if so, add {shlex.join([*words, *drops[2:]])}; if not, add {shlex.join(drops)}"
        if all(key.lstrip("-").isdigit() for key in cells.filled):
            hint += ", or name all sensors with --sensor, this one among them"
    more = f", and so {'does' if len(names) == 2 else 'do'} {', '.join(names[1:])}" if names[1:] else ""  # noqa: PLR2004
    labels = f" beside {beside}" if beside else ""
    return UsageError(
        f"the column '{first}' looks like labels{labels} ({cells.shown()}){more}", where=where, hint=hint
    )
