"""`edge-train simulate`: machines that run, and fail on purpose, into a CSV or an InfluxDB."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.errors import UsageError, counted
from edge_runtime.timeparse import parse_duration, parse_time
from trainer.cli.influx_options import (
    DEFAULT_URL,
    Bucket,
    Database,
    Org,
    PasswordFile,
    TokenFile,
    Url,
    Username,
    connect,
)

if TYPE_CHECKING:
    from edge_runtime.influxdb import InfluxClient
    from trainer.simulate.emit import Fleet, Target

__all__ = ["simulate"]

DEFAULT_START = "2025-01-01T00:00:00Z"
DEFAULT_DURATION = "1d"


class Destination(StrEnum):
    """Where simulated rows go."""

    CSV = "csv"
    INFLUX = "influx"


def simulate(
    *,
    machines: Annotated[
        int, typer.Option(help="Number of machines. They are named press-1, press-2 and so on.", min=1)
    ] = 1,
    machine: Annotated[
        list[str] | None,
        typer.Option(help="Name of a machine, instead of --machines. May be repeated.", show_default=False),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help=f"Time of the first row, such as -7d. [default: {DEFAULT_START}; live: now]"),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(
            help=f"Length of the simulation, such as 7d. [default: {DEFAULT_DURATION}; live: until stopped]"
        ),
    ] = None,
    cadence: Annotated[float, typer.Option(help="Time between two rows of a machine, in seconds.")] = 1.0,
    severity: Annotated[
        float, typer.Option(help="Strength of the events. With 0, all machines are healthy.")
    ] = 1.0,
    rate: Annotated[float, typer.Option(help="Number of events per hour and machine, 0 to 60.")] = 11.0,
    events_from: Annotated[
        str | None,
        typer.Option(
            help="Time before which no event occurs, absolute or as a duration after the "
            "start, such as 2d. [default: the start]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random choice.")] = 0,
    to: Annotated[
        Destination, typer.Option(help="Destination of the rows: a CSV file or InfluxDB.")
    ] = Destination.CSV,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV file for the rows. [default: standard output]")
    ] = None,
    events: Annotated[
        Path | None,
        typer.Option(
            help="CSV file for the events. [default: the events are not written]", show_default=False
        ),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Write each row when it is due, instead of all at once.")
    ] = False,
    speed: Annotated[
        float, typer.Option(help="Number of simulated seconds per second, for use with --live.")
    ] = 1.0,
    url: Url = DEFAULT_URL,
    database: Database = None,
    create_database: Annotated[
        bool, typer.Option("--create-database", help="Create the database first (InfluxDB 1).")
    ] = False,
    org: Org = None,
    bucket: Bucket = None,
    username: Username = None,
    password_file: PasswordFile = None,
    token_file: TokenFile = None,
) -> None:
    """Simulate machines with labelled events, and write their rows to a CSV file or to InfluxDB."""
    from trainer.simulate.emit import emit_history, emit_live

    if speed <= 0:
        raise UsageError(
            f"a speed of {speed:g} is not possible", where="--speed", hint="choose a positive number"
        )
    # Relative times count from a whole second: rows at odd nanoseconds are hard to read.
    now_ns = time.time_ns() // 10**9 * 10**9
    start_ns = parse_time(start or ("now" if live else DEFAULT_START), now_ns)
    fleet = _fleet(
        machine or [f"press-{i + 1}" for i in range(machines)],
        seed=seed,
        cadence=cadence,
        severity=severity,
        rate=rate,
        start_ns=start_ns,
        events_from_ns=None if events_from is None else _events_from(events_from, start_ns, now_ns),
    )
    length = duration or (None if live else DEFAULT_DURATION)
    ticks = None if length is None else round(parse_duration(length) / 1e9 / cadence)
    if ticks == 0:
        raise UsageError(f"a duration of {length} contains no row", where="--duration")
    with ExitStack() as stack:
        target: Target
        if to is Destination.INFLUX:
            if output or events:
                raise UsageError("these options require --to csv", where="--output, --events")
            client = connect(
                url=url,
                database=database,
                org=org,
                bucket=bucket,
                username=username,
                password_file=password_file,
                token_file=token_file,
            )
            target = _influx(client, create=create_database)
        else:
            target = _csv(stack, output, events, live=live)
        if live:
            from trainer.simulate.stopping import interruptible_wait

            wait = stack.enter_context(interruptible_wait())
            done = emit_live(
                fleet, target, cadence=cadence, speed=speed, ticks=ticks, now=time.monotonic, wait=wait
            )
        else:
            from trainer.cli.progress import progress_bar

            done = ticks or 0
            progress = stack.enter_context(progress_bar("simulate", ticks))
            emit_history(fleet, target, ticks=done, progress=progress)
    made = f"{counted(done * fleet.size, 'row')}, {counted(fleet.events, 'event')}"
    sys.stderr.write(f"{made} of {counted(fleet.size, 'machine')}\n")


def _events_from(text: str, start_ns: int, now_ns: int) -> int:
    """A time; a length such as 2d counts from the start."""
    try:
        return start_ns + parse_duration(text)
    except UsageError:
        return parse_time(text, now_ns)


def _fleet(
    names: list[str],
    *,
    seed: int,
    cadence: float,
    severity: float,
    rate: float,
    start_ns: int,
    events_from_ns: int | None,
) -> Fleet:
    from edge_runtime.simulation import Simulator
    from trainer.simulate.emit import Fleet

    return Fleet(
        [
            Simulator(
                name,
                seed=seed,
                cadence=cadence,
                severity=severity,
                rate=rate,
                start_ns=start_ns,
                events_from_ns=events_from_ns,
            )
            for name in names
        ]
    )


def _csv(stack: ExitStack, output: Path | None, events: Path | None, *, live: bool) -> Target:
    """Whole files appear at their end; live ones, and standard output, grow row by row."""
    from edge_runtime.files import refuse_same
    from trainer.data.rows import growing, replacing
    from trainer.simulate.emit import CsvTarget

    if output is not None and events is not None:
        refuse_same(events, {"also the file of --output": output}, "--events")
    opened = growing if live else replacing
    stream = sys.stdout.buffer if output in (None, Path("-")) else stack.enter_context(opened(output))
    return CsvTarget(stream, stack.enter_context(opened(events)) if events else None)


def _influx(client: InfluxClient, *, create: bool) -> Target:
    from edge_runtime.influxdb import create_database
    from trainer.simulate.influx import InfluxTarget

    if create:
        create_database(client)
    return InfluxTarget(client)
