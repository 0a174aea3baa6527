"""What is known of one machine: its newest time, and time and digest of its last rows."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["KNOWN_ROWS", "NEVER", "WAITING_BLOCKS", "Machine", "digests"]

# Before every time that int64 nanoseconds hold.
NEVER = -(2**63)
KNOWN_ROWS = 64
# Blocks of a machine whose rows have no digests yet.
WAITING_BLOCKS = 2


class Machine:
    """What is known of one machine.

    Args:
        name: Its id.

    Attributes:
        name: Its id.
        newest: Time of its newest judged row, nanoseconds since the epoch.
    """

    __slots__ = ("_blocks", "_rows", "name", "newest")

    def __init__(self, name: str) -> None:
        self.name = name
        self.newest = NEVER
        # Time and digest of its last judged rows, oldest first; newer ones may still lie in blocks.
        self._rows: deque[tuple[int, int]] = deque(maxlen=KNOWN_ROWS)
        self._blocks: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []

    def add_row(self, time: int, values: NDArray[np.float32]) -> None:
        """Takes a row that is newer than the ones before; its readings are [1, sensors]."""
        if self._blocks:
            self._digest()
        self._rows.append((time, crc32(values.tobytes())))
        self.newest = time

    def add_block(self, times: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Takes rows, at least one; of more than `KNOWN_ROWS` the last ones are enough.

        Their digests are made when somebody asks for them: most rows are followed by others before that.
        """
        if len(times) >= KNOWN_ROWS:
            self._rows.clear()
            self._blocks.clear()
        elif len(self._blocks) >= WAITING_BLOCKS:
            self._digest()
        self._blocks.append((times[-KNOWN_ROWS:].copy(), values[-KNOWN_ROWS:].copy()))
        self.newest = int(times[-1])

    @property
    def rows(self) -> deque[tuple[int, int]]:
        """Time and digest of its last `KNOWN_ROWS` judged rows, oldest first."""
        self._digest()
        return self._rows

    def _digest(self) -> None:
        for times, values in self._blocks:
            self._rows.extend(zip(times.tolist(), digests(values), strict=True))
        self._blocks.clear()

    @classmethod
    def of(cls, name: str, newest: int, rows: Iterable[tuple[int, int]]) -> Machine:
        """One that was stored."""
        self = cls(name)
        self._rows.extend(rows)
        self.newest = newest
        return self


def digests(values: NDArray[np.float32]) -> list[int]:
    """[rows] A number for each row's readings, the same on every machine."""
    width, data = values.shape[1] * values.itemsize, values.tobytes()
    return [crc32(data[start : start + width]) for start in range(0, len(data), width)]
