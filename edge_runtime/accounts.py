"""Every row that was read is accounted for: scored, unknown with a reason, or skipped with a reason."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.records import Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_runtime.records import Results

__all__ = ["Accounts"]


class Accounts:
    """Counts rows by what became of them."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()

    def add(self, results: Results, skipped: Mapping[str, int]) -> dict[str, int]:
        """Counts a block; returns what was added, by name."""
        added = {f"skipped.{reason}": number for reason, number in skipped.items()}
        added["read"] = len(results) + sum(skipped.values())
        by_verdict = np.bincount(results.verdicts, minlength=len(Verdict)).tolist()
        added["normal"], added["anomaly"] = by_verdict[Verdict.NORMAL], by_verdict[Verdict.ANOMALY]
        if by_verdict[Verdict.UNKNOWN]:
            by_reason = np.bincount(results.reasons[results.verdicts == Verdict.UNKNOWN]).tolist()
            added |= {
                f"unknown.{Reason(code).label}": number for code, number in enumerate(by_reason) if number
            }
        for name, number in added.items():
            self.counters[name] += number
        return {name: number for name, number in added.items() if number}

    @property
    def balanced(self) -> bool:
        """Whether the parts sum to what was read."""
        parts = sum(number for name, number in self.counters.items() if name != "read")
        return parts == self.counters["read"]

    def lines(self) -> list[str]:
        """The accounts for people, a line a number."""
        counters = self.counters
        unknown = {n.partition(".")[2]: v for n, v in sorted(counters.items()) if n.startswith("unknown.")}
        skipped = {n.partition(".")[2]: v for n, v in sorted(counters.items()) if n.startswith("skipped.")}
        judged = f"{counters['normal']:,} normal, {counters['anomaly']:,} anomalous"
        rest = f"{sum(unknown.values()):,} unknown, {sum(skipped.values()):,} skipped"
        lines = [f"{counters['read']:,} rows read: {judged}, {rest}"]
        lines += [f"  unknown, {reason}: {number:,}" for reason, number in unknown.items()]
        lines += [f"  skipped, {reason}: {number:,}" for reason, number in skipped.items()]
        if not self.balanced:
            lines.append("  these numbers do not balance: please report it")
        return lines
