"""A format as strptime has it to a pattern whose groups `timeparse.moment_of` reads."""

from __future__ import annotations

import re

from edge_runtime.errors import UsageError

__all__ = ["pattern_of"]

MONTH = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:tember)?|"
    "oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
)
TWO_DIGITS = "mdHIMS"
DIGITS = (*TWO_DIGITS, "Y", "y", "f")
# Directive to its pattern; the name of a day of the week says nothing that the date does not.
DIRECTIVES = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    **{letter: rf"(?P<{letter}>\d{{1,2}})" for letter in TWO_DIGITS},
    "f": r"(?P<f>\d{1,9})",
    "p": r"(?P<p>[AaPp][Mm])",
    "z": r"(?P<z>[Zz]|[+-]\d\d(?::?\d\d)?)",
    "b": f"(?P<b>{MONTH})",
    "B": f"(?P<b>{MONTH})",
    "a": "[A-Za-z]+",
    "A": "[A-Za-z]+",
    "%": "%",
}
PART = re.compile(r"%(.)|([^%]+)", re.DOTALL)
ALSO = {"T": "%H:%M:%S", "D": "%m/%d/%y", "F": "%Y-%m-%d", "R": "%H:%M"}


def pattern_of(form: str) -> re.Pattern[str]:
    """The pattern of times of a format.

    Raises:
        UsageError: It has a directive that is not known, or twice, or no date in it.
    """
    where, hint = "--time-format", "such as %d.%m.%Y %H:%M:%S"
    for letter, meaning in ALSO.items():
        form = form.replace(f"%{letter}", meaning)
    parts: list[str] = []
    letters: list[str] = []
    previous = ""
    for found in PART.finditer(form):
        letter = found[1]
        if letter is None:
            parts.append(re.escape(found[2]))
            previous = ""
            continue
        if letter not in DIRECTIVES:
            raise UsageError(f"there is no %{letter} in the format of a time", where=where, hint=hint)
        pattern = DIRECTIVES[letter]
        after = form[found.end() : found.end() + 2]
        # Where digits touch those of another directive, each takes both of its own.
        touches = previous in DIGITS or (after[:1] == "%" and after[1:] in DIGITS)
        if letter in TWO_DIGITS and (touches or after[:1].isdigit()):
            pattern = rf"(?P<{letter}>\d\d)"
        parts.append(pattern)
        letters.append("b" if letter == "B" else letter)
        previous = letter if letter != "%" else ""
    if PART.sub("", form):
        raise UsageError(f"'{form}' is not the format of a time", where=where, hint=hint)
    named = [letter for letter in letters if letter not in "aA%"]
    if len(set(named)) < len(named):
        raise UsageError(f"'{form}' has a part of the time twice", where=where, hint=hint)
    if not {"Y", "y"} & set(named) or not {"m", "b"} & set(named) or ("I" in named) != ("p" in named):
        raise UsageError(
            f"'{form}' does not tell the whole time",
            where=where,
            hint="it needs a year and a month, and %I needs %p, such as %m/%d/%Y %I:%M:%S %p",
        )
    return re.compile("".join(parts), re.ASCII | re.IGNORECASE)
