"""Benches of sources that need no server: files, pipes, and the simulation."""

from __future__ import annotations

import csv
import gzip
import io
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from support.feeds import MACHINES, SECOND, SENSORS, Bench, Broken, Document, Row, by_machine

from edge_runtime.errors import EdgeDetectError, InputError, SensorMismatchError, SourceError, UsageError
from edge_runtime.simulation import SENSORS as SIMULATED
from edge_runtime.simulation import Simulator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.sources.base import Batch, Source

__all__ = ["CsvBench", "PlcBench", "SimulateBench", "StdinBench"]

HEADER = ("power", "time", "vibration", "machine_id")


def _csv(rows: Sequence[Row], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(HEADER)
    writer.writerows((row.power, row.time // SECOND, row.vibration, row.machine) for row in rows)
    return text.getvalue()


class CsvBench(Bench):
    """A file whose columns are in another order than the sensors."""

    waits = False

    def put(self, rows: Sequence[Row]) -> None:
        path = self.folder / "in.csv"
        with path.open("a", encoding="utf-8") as file:
            file.write(_csv(rows, header=not path.exists() or not path.stat().st_size))

    def document(self) -> Document:
        return {"csv": {"input": str(self.folder / "in.csv")}}

    def same_feed(self) -> list[Document]:
        self.patch.chdir(self.folder)
        (self.folder / "linked.csv").symlink_to("in.csv")
        inputs = ("in.csv", "./in.csv", f"{self.folder}/../{self.folder.name}/in.csv", "linked.csv")
        return [{"csv": {"input": path}, "data": {"machine": "other"}} for path in inputs]

    def other_feeds(self) -> list[Document]:
        return [{"csv": {"input": str(self.folder / "other.csv")}}]

    def broken(self) -> Broken:
        def file(name: str, content: bytes) -> Document:
            (self.folder / name).write_bytes(content)
            return {"csv": {"input": str(self.folder / name)}}

        text = _csv([Row(MACHINES[0], i * SECOND, 1, 1) for i in range(1000)], header=True).encode()
        return {
            "no file named": (UsageError, self.with_tables({})),
            "no such file": (UsageError, self.with_tables({"csv": {"input": str(self.folder / "none")}})),
            "a folder": (UsageError, self.with_tables({"csv": {"input": str(self.folder)}})),
            "an empty file": (InputError, self.with_tables(file("empty.csv", b""))),
            "no sensor": (SensorMismatchError, self.with_tables(file("none.csv", b"time,x\n1,2\n"))),
            "half an archive": (
                InputError,
                self.with_tables(file("half.csv.gz", gzip.compress(text)[:-200])),
            ),
            "another archive": (InputError, self.with_tables(file("wrong.csv.gz", b"\x1f\x8b\x08" + text))),
            "no text": (EdgeDetectError, self.with_tables(file("bytes.csv", bytes(range(256))))),
        }


class PlcBench(Bench):
    """The text file of a package of somebody else's."""

    waits = False

    def put(self, rows: Sequence[Row]) -> None:
        with (self.folder / "rows.txt").open("a", encoding="utf-8") as file:
            for row in rows:
                file.write(f"{row.time};{row.machine};power={row.power};vibration={row.vibration}\n")

    def document(self) -> Document:
        return {"plc": {"file": str(self.folder / "rows.txt"), "block": 3000}}

    def same_feed(self) -> list[Document]:
        self.patch.chdir(self.folder)
        return [{"plc": {"file": "rows.txt"}}]

    def other_feeds(self) -> list[Document]:
        return [{"plc": {"file": str(self.folder / "other.txt")}}]

    def broken(self) -> Broken:
        return {
            "no file named": (UsageError, self.with_tables({})),
            "no such file": (SourceError, self.with_tables({"plc": {"file": str(self.folder / "none")}})),
            "no block": (UsageError, self.with_tables({"plc": {"file": "rows.txt", "block": 0}})),
        }


class StdinBench(Bench):
    """A pipe in the place of standard input; a new one for each source, which cannot go back in it."""

    goes_back = False
    live = True
    least_batches = 1
    _text = ""
    _ended = True

    def put(self, rows: Sequence[Row]) -> None:
        self._text += _csv(rows, header=not self._text)

    def document(self) -> Document:
        self._ended = True
        return {}

    def waiting(self) -> Document:
        self._ended = False
        return {}

    def open(self, document: Document | None = None) -> Source:
        return super().open(document) if sys.stdin is None else self._over_a_pipe(document)

    def same_feed(self) -> list[Document]:
        return [{"data": {"time_column": "t", "machine": "other"}}]

    def other_feeds(self) -> list[Document]:
        return []

    def broken(self) -> Broken:
        def closed() -> Source:
            self.patch.setattr(sys, "stdin", None)  # as it is after `<&-`
            return self.open()

        def without(text: str) -> Source:
            self._text = text
            return self.open()

        return {
            "nothing at all": (InputError, lambda: without("")),
            "no sensor": (SensorMismatchError, lambda: without("time,x\n1,2\n")),
            "closed": (EdgeDetectError, closed),
        }

    def _over_a_pipe(self, document: Document | None) -> Source:
        read_end, write_end = os.pipe()
        end = os.fdopen(read_end, "rb")
        self.files.append(end)
        self.patch.setattr(sys, "stdin", end)
        source = super().open(self.document() if document is None else document)
        if self._ended:
            threading.Thread(target=_write, args=(write_end, self._text.encode()), daemon=True).start()
        else:
            self.files.append(os.fdopen(write_end, "wb"))
        return source


def _write(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), os.fdopen(descriptor, "wb") as pipe:
        pipe.write(data)


class SimulateBench(Bench):
    """The simulation, which makes its own rows, as fast as it can."""

    ends = False
    makes_rows = True
    goes_back = False

    def put(self, rows: Sequence[Row]) -> None:
        """It needs none."""

    def document(self) -> Document:
        return {"simulate": {"machines": 2, "speed": 0.0, "seed": 7, "cadence": 2.0, "rate": 30.0}}

    def waiting(self) -> Document:
        return {"simulate": {"speed": 1.0, "cadence": 3600.0}}

    def same_feed(self) -> list[Document]:
        return [{}, {"simulate": {"machines": 9, "seed": 5}}]

    def other_feeds(self) -> list[Document]:
        return []

    def broken(self) -> Broken:
        values = {"machines": 0, "speed": -1.0, "cadence": -1.0}
        return {
            f"{key} {value}": (UsageError, self.with_tables({"simulate": {key: value}}))
            for key, value in values.items()
        }

    def expected(
        self,
        put: Sequence[Row],  # noqa: ARG002
        found: Sequence[Batch],
    ) -> dict[str, list[tuple[int, float, float]]]:
        """What the simulated machines do, whatever was put, from the first row's time on."""
        assert SENSORS == ("vibration", "power")
        times = [moment for moment, *_ in by_machine(found)["machine-1"]]
        columns = [SIMULATED.index(sensor) for sensor in SENSORS]
        wanted = {}
        for name in ("machine-1", "machine-2"):
            machine = Simulator(name, seed=7, cadence=2.0, severity=2.0, rate=30.0, start_ns=times[0])
            block = machine.block(len(times))
            values = block.values[:, columns].astype(np.float32).tolist()
            wanted[name] = [(t, v, p) for t, (v, p) in zip(block.times.tolist(), values, strict=True)]
        return wanted
