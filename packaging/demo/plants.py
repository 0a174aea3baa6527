"""Where the demo's machines live: in a real InfluxDB, or, where none can be had, in files."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Protocol, Self

import pandas as pd
from commands import CommandError, background, run
from influxd import Influxd, find_influxd

from edge_runtime.influxdb import InfluxClient, InfluxSettings, query

if TYPE_CHECKING:
    import subprocess
    from datetime import datetime
    from pathlib import Path

__all__ = ["FilePlant", "InfluxPlant", "Plant"]

DATABASE = "plant"
SENSORS = ("temperature", "vibration", "pressure", "power")
WATCH_SECONDS = 45.0
CATCH_UP_WITHIN_S = 60.0


class Plant(Protocol):
    """Machines with a history, that can be watched live."""

    description: str

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...

    def simulate(self, start: datetime, stop: datetime, *, severity: float, seed: int) -> None:
        """Writes history."""

    def prepare(self, start: datetime, stop: datetime, folder: Path) -> None:
        """Turns history into training data."""

    def watch(self, start: datetime, stop: datetime, bundle: Path, *, severity: float, seed: int) -> None:
        """Feeds an unseen stretch in while `edge-detect run` follows it."""

    def found(self, start: datetime, stop: datetime) -> pd.DataFrame:
        """What was found: time (int64 ns), machine_id, severity, verdict."""
        ...

    def injected(self, start: datetime, stop: datetime) -> pd.DataFrame:
        """What was put in: machine_id, kind, sensors, start, stop (int64 ns)."""
        ...


class InfluxPlant:
    """The plant in an InfluxDB 1.6 of its own, on loopback."""

    def __init__(self, folder: Path, server: Influxd) -> None:
        self.folder = folder
        self.server = server
        self.description = "InfluxDB"

    @classmethod
    def start(cls, folder: Path, *, wanted: bool) -> InfluxPlant | None:
        """A plant whose server is yet to be started; None when no server can be had or none is wanted."""
        if not wanted:
            return None
        if find_influxd(folder.parent / "influxdb-package") is None:
            sys.stdout.write(
                "No influxd here, and Debian's package cannot be fetched: the demo runs over files.\n"
            )
            return None
        return cls(folder, Influxd(folder / "influxdb", unpack_into=folder.parent / "influxdb-package"))

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.client = InfluxClient(InfluxSettings(url=self.server.url, database=DATABASE))
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.__exit__(*exc)

    @property
    def _where(self) -> tuple[str, ...]:
        return ("--url", self.server.url, "--database", DATABASE)

    def simulate(self, start: datetime, stop: datetime, *, severity: float, seed: int) -> None:
        run(
            "edge-train",
            "simulate",
            *_stretch(start, stop, severity, seed),
            "--to",
            "influx",
            *self._where,
            "--create-database",
        )

    def prepare(self, start: datetime, stop: datetime, folder: Path) -> None:
        limits = ("--start", _iso(start), "--stop", _iso(stop))
        run("edge-train", "prepare", *self._where, *limits, "--labels", "events", "-o", folder)

    def watch(self, start: datetime, stop: datetime, bundle: Path, *, severity: float, seed: int) -> None:
        seconds = (stop - start).total_seconds()
        source = ("--source", "influx", *self._where, "--start", _iso(start), "--lateness", "120")
        state = self.folder / "ledger.sqlite"
        with background(
            "edge-detect", "run", "--bundle", bundle, *source, "--sink", "influx", "--state", state
        ) as follower:
            fed = (*_stretch(start, stop, severity, seed), "--to", "influx", *self._where)
            run("edge-train", "simulate", *fed, "--live", "--speed", f"{seconds / WATCH_SECONDS:.0f}")
            self._catch_up(follower, _count(self.client, "sensors", start))

    def _catch_up(self, follower: subprocess.Popen[bytes], rows: int) -> None:
        """Waits until the follower has written as many rows as were fed in."""
        until = time.monotonic() + CATCH_UP_WITHIN_S
        while _count(self.client, "anomaly") < rows:
            if follower.poll() is not None or time.monotonic() > until:
                raise CommandError(["edge-detect", "run"], follower.poll() or 1)
            time.sleep(0.5)

    def found(self, start: datetime, stop: datetime) -> pd.DataFrame:
        columns = "severity, verdict, machine_id"
        text = f"SELECT {columns} FROM anomaly WHERE time >= {_ns(start)} AND time < {_ns(stop)}"  # noqa: S608
        return self._frame(text)

    def injected(self, start: datetime, stop: datetime) -> pd.DataFrame:
        columns = "kind, sensors, onset, stop, machine_id"
        text = f"SELECT {columns} FROM events WHERE time >= {_ns(start)} AND time < {_ns(stop)}"  # noqa: S608
        return self._frame(text).rename(columns={"time": "start"})

    def _frame(self, text: str) -> pd.DataFrame:
        parts = [
            pd.DataFrame(series.values, columns=list(series.columns)) for series in query(self.client, text)
        ]
        return pd.concat(parts, ignore_index=True)


class FilePlant:
    """The plant in CSV files: the same loop where there is no database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.description = "files"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Files need no end."""

    def simulate(self, start: datetime, stop: datetime, *, severity: float, seed: int) -> None:
        self._simulate("history", start, stop, severity, seed)

    def prepare(self, start: datetime, stop: datetime, folder: Path) -> None:
        history = ("--csv", self.folder / "history.csv", "--start", _iso(start), "--stop", _iso(stop))
        labels = ("--labels", "events", "--events-file", self.folder / "history-events.csv")
        run("edge-train", "prepare", *history, *labels, "-o", folder)

    def watch(self, start: datetime, stop: datetime, bundle: Path, *, severity: float, seed: int) -> None:
        self._simulate("unseen", start, stop, severity, seed)
        source = ("--source", "csv", "--input", self.folder / "unseen.csv")
        sink = ("--sink", "jsonl", "--output", self.folder / "found.jsonl")
        state = ("--state", self.folder / "ledger.sqlite")
        run("edge-detect", "run", "--bundle", bundle, *source, *sink, *state)

    def found(self, start: datetime, stop: datetime) -> pd.DataFrame:  # noqa: ARG002
        rows = pd.read_json(self.folder / "found.jsonl", lines=True, convert_dates=False)
        rows["time"] = pd.to_datetime(rows["time"], utc=True).dt.as_unit("ns").astype("int64")
        return rows[["time", "machine_id", "severity", "verdict"]]

    def injected(self, start: datetime, stop: datetime) -> pd.DataFrame:  # noqa: ARG002
        events = pd.read_csv(self.folder / "unseen-events.csv")
        for column in ("onset", "start", "stop"):
            events[column] = pd.to_datetime(events[column], utc=True).dt.as_unit("ns").astype("int64")
        return events

    def _simulate(self, name: str, start: datetime, stop: datetime, severity: float, seed: int) -> None:
        files = ("-o", self.folder / f"{name}.csv", "--events", self.folder / f"{name}-events.csv")
        run("edge-train", "simulate", *_stretch(start, stop, severity, seed), *files)


def _stretch(start: datetime, stop: datetime, severity: float, seed: int) -> tuple[str, ...]:
    duration = f"{(stop - start).total_seconds():.0f}s"
    return (
        *("--machines", "3", "--start", _iso(start), "--duration", duration),
        *("--severity", f"{severity:g}", "--seed", str(seed)),
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


def _count(client: InfluxClient, measurement: str, start: datetime | None = None) -> int:
    """Number of points of a measurement."""
    field = "verdict" if measurement == "anomaly" else SENSORS[0]
    bound = f" WHERE time >= {_ns(start)}" if start else ""
    for series in query(client, f"SELECT COUNT({field}) FROM {measurement}{bound}"):  # noqa: S608
        return int(series.values[0][1])  # noqa: PD011 - not a frame
    return 0
