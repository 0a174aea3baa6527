"""Many lines of text out of columns, as one array of bytes.

Each column takes the words of four bytes that its longest cell needs, with NULs where a cell is shorter;
dropping the NULs at the end gives the text. For a row or two, Python's own string formatting is faster.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.text.decimals import decimal_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["cells", "choices", "columns", "join", "moments"]

SECOND_NS = 1_000_000_000
DAY_S = 86_400


def columns(parts: Sequence[NDArray[np.float32]], missing: str = "") -> list[NDArray[np.uint32]]:
    """A column for each of the parts' columns, [rows, columns] float32; `missing` where one is not finite."""
    values = np.concatenate(parts, axis=1)
    rows, width = values.shape
    return list(decimal_words(values.T.ravel(), missing).reshape(width, rows, -1))


def cells(texts: Sequence[bytes]) -> NDArray[np.uint32]:
    """A column of texts, one a row."""
    size = -(-max(map(len, texts)) // 4) * 4 or 4
    return np.frombuffer(b"".join([text.ljust(size, b"\0") for text in texts]), np.uint32).reshape(
        len(texts), -1
    )


def choices(texts: Sequence[str], codes: NDArray[np.integer[Any]]) -> NDArray[np.uint32]:
    """A column of these texts by [rows] code."""
    return _words(texts).take(codes, axis=0)


def moments(times: NDArray[np.int64]) -> NDArray[np.uint32]:
    """A column of [rows] nanoseconds as `format_time` writes them."""
    seconds, nanoseconds = np.divmod(times, SECOND_NS)
    days, of_day = np.divmod(seconds, DAY_S)
    minutes, second = np.divmod(of_day, 60)
    clock, clock_seconds = _clock()
    known, code = np.unique(days, return_inverse=True)
    parts = [
        _words([f"{day}T" for day in known.astype("datetime64[D]").astype(str).tolist()])[code],
        clock[minutes],
        clock_seconds[second],
    ]
    if nanoseconds.any():
        written = np.unique(nanoseconds, return_inverse=True)
        fractions = [f".{n:09d}".rstrip("0") if n else "" for n in written[0].tolist()]
        parts.append(_words(fractions)[written[1]])
    return np.concatenate([*parts, np.full((len(times), 1), _words(["Z"])[0, 0])], axis=1)


def join(constants: Sequence[str], made: Sequence[NDArray[np.uint32]]) -> bytes:
    """The rows: the first constant, the first column's cell, the second constant, and so on."""
    pieces = [_words([constant]) for constant in constants]
    parts = [*pieces[:1], *(part for pair in zip(made, pieces[1:], strict=True) for part in pair)]
    ends = np.cumsum([part.shape[1] for part in parts])
    whole = np.empty((len(made[0]), int(ends[-1])), np.uint32)
    for part, end in zip(parts, ends.tolist(), strict=True):
        whole[:, end - part.shape[1] : end] = part
    return whole.tobytes().translate(None, b"\0")


def _words(texts: Sequence[str]) -> NDArray[np.uint32]:
    """[texts, words] of the longest one's size. A NUL, which no text should hold, is left out."""
    return cells([text.encode() for text in texts])


@cache
def _clock() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The day's minutes and a minute's seconds; made when first used."""
    minutes = _words([f"{minute // 60:02d}:{minute % 60:02d}:" for minute in range(DAY_S // 60)])
    return minutes, _words([f"{second:02d}" for second in range(60)])
