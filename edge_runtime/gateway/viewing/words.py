"""Texts of the live view: what no terminal takes for a command, of a width in cells, and ages in words."""

from __future__ import annotations

import math

from rich.cells import cell_len

from edge_runtime.timeparse import format_time

__all__ = ["age", "cut", "duration", "encodable", "moment", "number", "padded", "shown", "since", "width"]

ELLIPSIS = "…"
# To emoji or to text: terminals differ about the width of what follows from it.
VARIATIONS = ("\ufe00", "\ufe0f")
PLAIN = str.maketrans({"█": "#", "·": ".", ELLIPSIS: "~"})
MINUTE, HOUR, DAY = 60, 3600, 86_400


def shown(text: str) -> str:
    """The text with an escape for each letter that cannot be seen, such as a line break."""
    if text.isprintable() and text.isascii():
        return text
    return "".join(
        letter
        if letter.isprintable() and not VARIATIONS[0] <= letter <= VARIATIONS[1]
        else letter.encode("unicode_escape").decode()
        for letter in text
    )


def encodable(text: str, encoding: str) -> str:
    """The text for a terminal of this encoding, as wide as before or narrower."""
    if encoding.startswith("utf"):
        return text
    return text.translate(PLAIN).encode(encoding, "replace").decode(encoding)


def width(text: str) -> int:
    """Cells that the text takes, at most: a letter takes one at least, also one that joins another."""
    return len(text) if text.isascii() else sum(max(1, cell_len(letter)) for letter in text)


def cut(text: str, cells: int) -> str:
    """The text, or its beginning and an ellipsis, in so many cells."""
    return text if width(text) <= cells else _first(text, cells - 1) + ELLIPSIS[: max(cells, 0)]


def shortened(text: str, cells: int) -> str:
    """The text, or its beginning and its end with an ellipsis between, in so many cells."""
    if width(text) <= cells:
        return text
    end = _first(text[::-1], (cells - 1) // 2)[::-1]
    return _first(text, cells - 1 - width(end)) + ELLIPSIS + end


def padded(text: str, cells: int, *, right: bool = False) -> str:
    """The text, shortened in its middle or filled up with spaces, in so many cells."""
    text = shortened(text, cells)
    spaces = " " * (cells - cell_len(text))
    return spaces + text if right else text + spaces


def _first(text: str, cells: int) -> str:
    taken = 0
    for place, letter in enumerate(text):
        taken += width(letter)
        if taken > cells:
            return text[:place]
    return text


def age(seconds: float) -> str:
    """Whole seconds, minutes, hours or days, such as "3 s" or "2 min"."""
    for unit, word in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {word}"
    return f"{max(0, int(seconds))} s"


def duration(nanoseconds: int) -> str:
    """The same of a data time's difference; milliseconds where it is less than a second."""
    return age(nanoseconds / 1e9) if nanoseconds >= 10**9 else f"{max(0, nanoseconds) // 10**6} ms"


def moment(time_ns: int) -> str:
    """A data time to the second, such as "2026-01-31T08:00:00Z"."""
    return format_time(time_ns // 10**9 * 10**9)


def since(time_ns: int, newest_ns: int) -> str:
    """A data time, as short as it can be: "08:00:00" on the newest row's day, else "01-31"."""
    text = moment(time_ns)
    return text[11:19] if text[:10] == moment(newest_ns)[:10] else text[5:10]


def number(value: float) -> str:
    """A reading to four digits; "-" where there is none."""
    return f"{value:.4g}" if math.isfinite(value) else "-"
