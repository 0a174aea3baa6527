"""Where the rows of a sink went since the ledger was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_runtime.engine.accounts import LEFT_OUT
from edge_runtime.errors import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SinkSums", "sums_of"]


@dataclass(frozen=True, slots=True)
class SinkSums:
    """Rows of one sink since the ledger was made.

    Attributes:
        encoded: That were put into the outbox.
        delivered: That the sink has.
        waiting: That are in the outbox.
        dead: That the sink refused for good, or that were damaged on the disk.
        dropped: That went because the outbox or the dead letters were full, or that somebody dropped.
        lost: That a damaged ledger did not give back.
        left_out: That were never put into the outbox, since the sink was told not to take them.
    """

    encoded: int
    delivered: int
    waiting: int
    dead: int
    dropped: int
    lost: int = 0
    left_out: int = 0

    @property
    def balanced(self) -> bool:
        """Whether every row is in one of the parts."""
        parts = (self.delivered, self.waiting, self.dead, self.dropped, self.lost)
        return self.encoded == sum(parts) and min(parts) >= 0

    def __str__(self) -> str:
        return self.text()

    def text(self, one: str = "row", many: str = "rows") -> str:
        """The sums for people.

        Args:
            one: What one of that which goes to the sink is called.
            many: What several are called.
        """
        waiting = counted(self.waiting, f"{one} waits", f"{many} wait")
        text = (
            f"{waiting} in the ledger; of {self.encoded:,} since it was made {self.delivered:,} were "
            f"delivered, {self.dead:,} are dead letters and {self.dropped:,} were dropped"
        )
        if self.lost:
            text += f"; {self.lost:,} were lost with damaged parts of the ledger"
        if self.left_out:
            text += f"; {counted(self.left_out, 'row')} did not go there, as it does not take all"
        return text if self.balanced else f"{text}; these numbers do not balance: please report it"


def sums_of(sink: str, counters: Mapping[str, int]) -> SinkSums:
    """The sums of a sink; what waits is what went nowhere else."""
    names = ("encoded", "delivered", "dead", "dropped", "lost")
    encoded, delivered, dead, dropped, lost = (counters.get(f"{part}.{sink}", 0) for part in names)
    waiting = encoded - delivered - dead - dropped - lost
    left_out = counters.get(f"{LEFT_OUT}{sink}", 0)
    return SinkSums(encoded, delivered, waiting, dead, dropped, lost, left_out)
