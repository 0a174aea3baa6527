"""A package of somebody else's, of one file: a source that reads a text file, and a sink that appends to one.

A row of the text file is "NANOSECONDS;MACHINE;SENSOR=VALUE;SENSOR=VALUE".
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.checkpoint import Checkpoint
from edge_runtime.config import setting
from edge_runtime.errors import SinkError, SinkUnavailableError, SourceError, UsageError
from edge_runtime.records import Readings, Reason, Verdict
from edge_runtime.sinks.base import SinkKind, Verdicts
from edge_runtime.sources.base import Batch, Feed, SourceKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_runtime.connector import Given
    from edge_runtime.records import Results


@dataclass(frozen=True, slots=True)
class PlcSettings:
    """Which file, and how it is read."""

    file: Path | None = setting(None, "Text file that the controller writes.", flag="--plc-file")
    block: int = setting(100, "Number of rows that are handed on together.", unit="rows", flag="--plc-block")


class PlcSource:
    """A source over one text file."""

    name = "plc"
    live = False

    def __init__(self, path: Path, sensors: tuple[str, ...], block: int) -> None:
        self._path, self._sensors, self._block = path, sensors, block
        self._closed = False

    def check(self) -> None:
        """The file is there."""
        self._lines()

    def what_came(self) -> str | None:
        """Nothing else can come."""
        return None

    def acknowledge(self) -> None:
        """Nobody wants to know."""

    def close(self) -> None:
        """Ends `batches`."""
        self._closed = True

    def batches(self, checkpoint: Checkpoint | None) -> Iterator[Batch]:
        """The rows after so many lines."""
        done = 0 if checkpoint is None else int(json.loads(checkpoint.text)["lines"])
        lines = self._lines()
        for start in range(done, len(lines), self._block):
            if self._closed:
                return
            part = lines[start : start + self._block]
            reached = Checkpoint(json.dumps({"lines": start + len(part)}))
            yield Batch(self._readings(part), reached, {})

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise SourceError(f"cannot read it ({error.strerror})", where=str(self._path)) from None

    def _readings(self, lines: list[str]) -> Readings:
        rows = [line.split(";") for line in lines]
        found = [dict(cell.split("=") for cell in cells) for _, _, *cells in rows]
        return Readings(
            [machine for _, machine, *_ in rows],
            [int(time) for time, *_ in rows],
            [[float(row.get(sensor, "nan")) for sensor in self._sensors] for row in found],
        )


def _path(given: Given) -> Path:
    path = given[PlcSettings].file
    if path is None:
        raise UsageError("the source plc needs a file", hint="name it with --plc-file")
    return path


def _make_source(given: Given, feed: Feed) -> PlcSource:
    block = given[PlcSettings].block
    if block < 1:
        raise UsageError("a block has at least one row", where="[plc] block")
    return PlcSource(_path(given), feed.sensors, block)


PLC = SourceKind(
    name="plc",
    summary="Reads the text file of a controller.",
    guarantee="At least once: with a ledger, the next start goes on after the last committed line.",
    tables={"plc": PlcSettings},
    make=_make_source,
    identity=lambda given: f"plc {given[PlcSettings].file and _path(given).resolve()}",
)


@dataclass(frozen=True, slots=True)
class HornSettings:
    """Which file."""

    log: Path | None = setting(None, "File that a line is appended to for each row.", flag="--horn-log")


class HornSink:
    """Appends to one file; what came after the known position is cut off at the next start."""

    name = "horn"

    def __init__(self, path: Path, sensors: tuple[str, ...]) -> None:
        self._path, self._sensors = path, sensors

    def check(self) -> None:
        """The file can be written."""
        try:
            self._path.open("ab").close()
        except OSError as error:
            raise SinkError(f"cannot write it ({error.strerror})", where=str(self._path)) from None

    def resume(self, position: str | None, waiting: Sequence[bytes]) -> None:  # noqa: ARG002
        """Goes back to this size."""
        if position is not None:
            os.truncate(self._path, int(position))

    def position(self) -> str | None:
        """Its size."""
        return str(self._path.stat().st_size) if self._path.exists() else "0"

    def encode(self, results: Results) -> bytes:
        """JSON lines."""
        return b"".join(
            json.dumps(self._row(results, i), allow_nan=False).encode() + b"\n" for i in range(len(results))
        )

    def deliver(self, payloads: Sequence[bytes]) -> None:
        """Appends."""
        try:
            with self._path.open("ab") as file:
                file.write(b"".join(payloads))
        except OSError as error:
            raise SinkUnavailableError(f"cannot write it ({error.strerror})", where=str(self._path)) from None

    def close(self) -> None:
        """It is open while it writes."""

    def _row(self, results: Results, i: int) -> dict[str, object]:
        readings, scores = results.readings, results.scores
        row: dict[str, object] = {
            "time": int(readings.times[i]),
            "machine_id": str(readings.machines[i]),
            "verdict": Verdict(results.verdicts[i]).label,
        }
        if results.reasons[i]:
            row["reason"] = Reason(results.reasons[i]).label
        numbers = {"score": scores.score[i], "severity": results.severity[i]}
        for j, sensor in enumerate(self._sensors):
            numbers[f"reading_{sensor}"] = readings.values[i, j]
            numbers[f"expected_{sensor}"] = scores.expected[i, j]
            numbers[f"error_{sensor}"] = scores.errors[i, j]
        return row | {key: float(value) if math.isfinite(value) else None for key, value in numbers.items()}


def _make_sink(given: Given, verdicts: Verdicts) -> HornSink:
    path = given[HornSettings].log
    if path is None:
        raise UsageError("the sink horn needs a file", hint="name it with --horn-log")
    return HornSink(path, verdicts.sensors)


HORN = SinkKind(
    name="horn",
    summary="Appends a line to a file for each row.",
    guarantee="Exactly once: what came after the last known position is cut off and written again.",
    tables={"horn": HornSettings},
    make=_make_sink,
)
