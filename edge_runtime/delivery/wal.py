"""SQLite's write-ahead log, read without SQLite: which pages it holds, and whether it is as it was written.

SQLite takes a log up to the first frame that does not fit, which is right after a power cut: what follows was
never committed. Where a bit in the middle is damaged, it silently goes back to how things were before it.
The sections named here are those of https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Frame", "Log", "read_log"]

HEADER, FRAME_HEADER = 32, 24
MAGIC = 0x377F0682  # 4.1: with its last bit, whether checksums read words as big-endian
PAGE_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Frame:
    """One page as a transaction wrote it.

    Attributes:
        page: Its number, from 1.
        offset: Where its content begins in the log.
        sound: Whether the frame fits its checksum.
        commits: Whether a transaction ends with it.
    """

    page: int
    offset: int
    sound: bool
    commits: bool


@dataclass(frozen=True, slots=True)
class Log:
    """What a log holds.

    Attributes:
        frames: Up to the last commit.
        damaged: Whether something in it is damaged that was whole once.
        torn: Whether a transaction at its end is not whole, as a power cut leaves it.
    """

    frames: tuple[Frame, ...] = ()
    damaged: bool = False
    torn: bool = False


def read_log(path: Path) -> Log:
    """What a log holds, and whether it is whole.

    Damage within the last transaction cannot be told from a power cut while it was written, and is taken for
    that, as SQLite takes it: the transaction was not.

    Raises:
        OSError: The log cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Log()
    if len(data) < HEADER + FRAME_HEADER + 512:
        return Log()
    head = struct.unpack(">8I", data[:HEADER])
    order = ">" if head[0] & 1 else "<"
    sound = head[0] & ~1 == MAGIC and _sum(data[:24], (0, 0), order) == head[6:8]
    size = head[2] if sound else PAGE_SIZE
    salts = head[4:6]
    if not sound:
        # 4.1: the salts stand in each frame as well; those of the first are the log's.
        order, salts = "<", struct.unpack(">2I", data[HEADER + 8 : HEADER + 16])
    frames = _frames(data, size, salts, order, head[6:8] if sound else None)
    ends = [place for place, frame in enumerate(frames) if frame.commits and frame.sound]
    if not ends:
        return Log(torn=bool(frames))
    end = ends[-1] + 1
    bad = [place for place, frame in enumerate(frames[:end]) if not frame.sound]
    marks = [place for place, frame in enumerate(frames[: ends[-1]]) if frame.commits]
    # A transaction is synced before the next begins: what is bad before the last one was whole once.
    damaged = not sound or bool(bad and marks and bad[0] <= marks[-1])
    if bad and not damaged:
        return Log(tuple(frames[: ends[-2] + 1 if len(ends) > 1 else 0]), torn=True)
    return Log(tuple(frames[:end]), damaged, torn=end < len(frames))


def _frames(
    data: bytes, size: int, salts: tuple[int, ...], order: str, before: tuple[int, ...] | None
) -> list[Frame]:
    """4.1: each frame goes on from the checksum that stands in the one before, so each is proved alone."""
    found: list[Frame] = []
    step = FRAME_HEADER + size
    for start in range(HEADER, len(data) - step + 1, step):
        page, commit, salt1, salt2, *given = struct.unpack(">6I", data[start : start + FRAME_HEADER])
        same = (salt1, salt2) == salts
        content = data[start : start + 8] + data[start + FRAME_HEADER : start + step]
        sound = same and before is not None and _sum(content, before, order) == tuple(given)
        if not same and not _continues(data, start + step, size, salts):
            break  # of the log before this one
        found.append(Frame(page, start + FRAME_HEADER, sound or (before is None and same), commit != 0))
        before = tuple(given)
    return found


def _continues(data: bytes, start: int, size: int, salts: tuple[int, ...]) -> bool:
    """Whether a later frame is of this log, so that one with other salts is damaged and not older."""
    step = FRAME_HEADER + size
    wanted = struct.pack(">2I", *salts)
    return any(data[at + 8 : at + 16] == wanted for at in range(start, len(data) - step + 1, step))


_WEIGHTS: dict[int, np.ndarray[tuple[int, int], np.dtype[np.uint32]]] = {}


def _sum(data: bytes, before: tuple[int, ...], order: str) -> tuple[int, int]:
    """4.2, the checksum: `s0 += x0 + s1; s1 += x1 + s0` for each pair of words, modulo 2**32.

    That is linear in the words, with Fibonacci numbers for weights: one product instead of a loop.
    """
    words = np.frombuffer(data, f"{order}u4").astype(np.uint32)
    count = len(words) + 2
    if count not in _WEIGHTS:
        _WEIGHTS[count] = _weights(count)
    both = np.concatenate([np.asarray(before, np.uint32), words])
    totals = (_WEIGHTS[count] * both).sum(axis=1, dtype=np.uint32)
    return int(totals[0]), int(totals[1])


def _weights(count: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint32]]:
    """How often the start and each word count in the two sums, shape (2, count).

    A step is s0' = s0 + s1 + x0 and s1' = s0 + 2 s1 + x0 + x1: so what a word gave is carried on by the
    matrix ((1, 1), (1, 2)) for each later step.
    """
    weights = np.zeros((2, count), np.uint32)
    a, b, c, d = 1, 0, 0, 1  # the matrix's power, ((a, b), (c, d))
    mask = 0xFFFFFFFF
    for place in range(count - 2, 1, -2):
        # x0 enters as (1, 1), x1 as (0, 1).
        weights[:, place] = (a + b) & mask, (c + d) & mask
        weights[:, place + 1] = b, d
        a, b, c, d = (a + b) & mask, (a + 2 * b) & mask, (c + d) & mask, (c + 2 * d) & mask
    weights[:, 0] = a, c
    weights[:, 1] = b, d
    return weights
