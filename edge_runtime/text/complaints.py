"""What was wrong with lines or messages that are left out: said once for each kind, and then counted."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Complaints"]

MINUTE_S = 60.0
MAX_KINDS = 20
# What differs between two complaints of one kind: what was read, and where.
DIFFERENT = re.compile(r"'.*'|\(.*\)|\d+", re.DOTALL)


class Complaints:
    """Tells of the first of each kind at once, and then at most once a minute how many more there were.

    Args:
        report: Called with one line for a person.
        clock: Monotonic clock, in seconds.
    """

    def __init__(self, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._report = report
        self._clock = clock
        self._told: dict[str, float] = {}
        self._since: dict[str, tuple[int, str]] = {}

    def add(self, what: str, where: str, hint: str | None = None) -> None:
        """One more line or message is left out.

        Args:
            what: What is wrong with it.
            where: Which one it is.
            hint: What to do about it.
        """
        kind = DIFFERENT.sub("", what)
        if kind not in self._told and len(self._told) >= MAX_KINDS:
            kind = ""
        now = self._clock()
        text = f"{where}: {what}; {hint}" if hint else f"{where}: {what}"
        if kind not in self._told:
            self._told[kind] = now
            self._report(text)
            return
        self._since[kind] = (self._since.get(kind, (0, ""))[0] + 1, text)
        if now - self._told[kind] >= MINUTE_S:
            self._tell(kind, now)

    def tell_due(self) -> None:
        """Tells what is a minute old; for a moment in which nothing comes."""
        if self._since:
            now = self._clock()
            for kind in [one for one in self._since if now - self._told[one] >= MINUTE_S]:
                self._tell(kind, now)

    def tell_all(self) -> None:
        """Tells what was not told yet; for the end."""
        for kind in list(self._since):
            self._tell(kind, self._clock())

    def _tell(self, kind: str, now: float) -> None:
        number, last = self._since.pop(kind)
        self._told[kind] = now
        self._report(last if number == 1 else f"{last} ({number:,} like it since the last such message)")
