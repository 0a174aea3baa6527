"""`edge-detect run`: follow a feed, score it, deliver what is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from edge_runtime.config import Settings
    from edge_runtime.gateway.pipeline import Pipeline
    from edge_runtime.loading.load import Bundle

__all__ = ["run"]


def run(
    *,
    bundle: Annotated[Path | None, typer.Option(help="The bundle; without it, the default one.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A TOML file with the settings; options override it.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="simulate (the default), csv, stdin, influx or mqtt.")
    ] = None,
    sink: Annotated[
        list[str] | None, typer.Option(help="stdout (the default), jsonl or influx; repeat it for several.")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many rows that were not judged before.")
    ] = None,
    trusted_key: Annotated[
        list[str] | None,
        typer.Option(help="Only a bundle signed with this key: a .pub file; repeat it for several."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="What this gateway is: only a bundle signed for it; with keys.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="The ledger's file; without it, one in the user's state folder.")
    ] = None,
    input_file: Annotated[Path | None, typer.Option("--input", help="csv: the file to read.")] = None,
    output: Annotated[Path | None, typer.Option(help="jsonl: the file to append to.")] = None,
    time_column: Annotated[str | None, typer.Option(help="csv, stdin: the column of times.")] = None,
    machine_column: Annotated[str | None, typer.Option(help="csv, stdin: the column of machine ids.")] = None,
    broker: Annotated[
        str | None, typer.Option(help="mqtt: the server, such as mqtt://127.0.0.1:1883 or mqtts://….")
    ] = None,
    topic: Annotated[
        str | None, typer.Option(help="mqtt: such as plant/{machine}/readings; # and + as MQTT has them.")
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(help="mqtt: under which the broker keeps what comes while we are away.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="influx: the server, such as http://127.0.0.1:8086.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="influx: the database (1.x, 3, or a mapped 2.x).")
    ] = None,
    org: Annotated[str | None, typer.Option(help="influx: the organisation of 2.x.")] = None,
    bucket: Annotated[
        str | None, typer.Option(help="influx: the bucket of 2.x, instead of a database.")
    ] = None,
    username: Annotated[str | None, typer.Option(help="influx: the user of 1.x.")] = None,
    password_file: Annotated[
        Path | None, typer.Option(help="influx: a private file with the password.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="influx: a private file with the token.")] = None,
    measurement: Annotated[str | None, typer.Option(help="influx: the measurement to read.")] = None,
    machine_tag: Annotated[
        str | None, typer.Option(help="influx: the tag with the machine's id; =NAME for a single machine.")
    ] = None,
    machine: Annotated[
        list[str] | None, typer.Option(help="influx: read this machine alone; repeat it for several.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="influx: where to begin without a checkpoint: now, -1h, a time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="influx: stop before this time; without it, follow for ever.")
    ] = None,
    poll: Annotated[float | None, typer.Option(help="influx: seconds between two polls.")] = None,
    lateness: Annotated[
        float | None, typer.Option(help="influx: seconds by which a row may arrive late.")
    ] = None,
    flux_file: Annotated[
        Path | None, typer.Option(help="influx: a Flux query of your own, with {start} and {stop}.")
    ] = None,
    sink_url: Annotated[
        str | None, typer.Option(help="influx sink: another server than the source's.")
    ] = None,
    sink_database: Annotated[str | None, typer.Option(help="influx sink: another database.")] = None,
    sink_bucket: Annotated[str | None, typer.Option(help="influx sink: another bucket of 2.x.")] = None,
    sink_measurement: Annotated[
        str | None, typer.Option(help="influx sink: the measurement to write.")
    ] = None,
    machines: Annotated[int | None, typer.Option(help="simulate: number of machines.")] = None,
    severity: Annotated[float | None, typer.Option(help="simulate: how far faults move the sensors.")] = None,
    rate: Annotated[float | None, typer.Option(help="simulate: faults per hour and machine.")] = None,
    seed: Annotated[int | None, typer.Option(help="simulate: of every random choice.")] = None,
    speed: Annotated[
        float | None, typer.Option(help="simulate: times faster than real time; 0: as fast as it goes.")
    ] = None,
    cadence: Annotated[
        float | None, typer.Option(help="simulate: seconds between rows of a machine.")
    ] = None,
) -> None:
    """Follow a feed, score every row, deliver verdicts. On a terminal a live view, in a pipe JSON lines.

    Ctrl-C and SIGTERM end it cleanly. Secrets come from EDGE_DETECT_INFLUX_TOKEN,
    EDGE_DETECT_INFLUX_USERNAME and EDGE_DETECT_INFLUX_PASSWORD, or from private files.
    """
    from edge_runtime.config import load_settings

    influx: dict[str, Any] = {
        "url": url,
        "database": database,
        "org": org,
        "bucket": bucket,
        "username": username,
    }
    influx |= {"password_file": password_file, "token_file": token_file, "measurement": measurement}
    influx |= {"machine_tag": machine_tag, "machines": machine, "start": start, "until": until, "poll": poll}
    influx |= {"lateness": lateness, "flux_file": flux_file}
    options: dict[str, dict[str, Any]] = {
        "run": {"bundle": bundle, "source": source, "sinks": sink, "state": state, "rows": rows},
        "trust": {"keys": trusted_key, "target": target},
        "data": {"time_column": time_column, "machine_column": machine_column},
        "csv": {"input": input_file},
        "jsonl": {"output": output},
        "influx": influx,
        "mqtt": {"url": broker, "topic": topic, "client_id": client_id},
        "influx_sink": {
            "url": sink_url,
            "database": sink_database,
            "bucket": sink_bucket,
            "measurement": sink_measurement,
        },
        "simulate": {
            "machines": machines,
            "severity": severity,
            "rate": rate,
            "seed": seed,
            "speed": speed,
            "cadence": cadence,
        },
    }
    _run(load_settings(config, options))


def _run(settings: Settings) -> None:
    import sys
    from contextlib import ExitStack, suppress

    _stop_on_signals(None)  # until there is something to stop
    from edge_runtime.cli.guard import imported
    from edge_runtime.errors import SourceUnavailableError
    from edge_runtime.gateway.assembly import (
        make_engine,
        make_ledger,
        make_sinks,
        make_source,
        make_trial,
        make_trust,
    )
    from edge_runtime.gateway.clock import GatewayClock, known_moments
    from edge_runtime.gateway.pipeline import Pipeline
    from edge_runtime.loading.load import load_bundle

    trust = make_trust(settings, updates=True)
    bundle = load_bundle(settings.run.bundle, trust=trust, trial=make_trial(settings))
    for warning in bundle.approval.warnings if bundle.approval else ():
        _to_stderr(f"{bundle.name}: {warning}")
    with ExitStack() as stack:
        view = _view(settings, bundle)
        report = view.report if view else _to_stderr
        engine = make_engine(settings, bundle)
        clock = GatewayClock(known_moments(bundle), report)
        source = make_source(settings, bundle, report, clock.arrival)
        direct, durable = make_sinks(settings, bundle)
        # What is away, or empty so far, is waited for: `run` says so and tries again.
        with suppress(SourceUnavailableError):
            source.check()
        for sink in (*direct, *durable):
            sink.check()
        needs_ledger = bool(durable) or settings.run.source in ("influx", "mqtt")
        ledger = stack.enter_context(_closing(make_ledger(settings))) if needs_ledger else None
        senders = []
        if ledger:
            from edge_runtime.delivery.sender import Sender

            senders = [Sender(sink, ledger, report) for sink in durable]
        if ledger and (last := ledger.clock()) is not None:
            clock.know("the ledger was written", last)
        pipeline = Pipeline(
            source,
            engine,
            direct=[] if view else direct,
            ledger=ledger,
            senders=senders,
            report=report,
            watch=view.watch if view else None,
            most_rows=settings.run.rows,
            now=clock if source.live else None,
            arrival=clock.arrival,
        )
        _stop_on_signals(pipeline)
        imported()
        try:
            with view or ExitStack():
                pipeline.run()
        finally:
            for line in pipeline.accounts.lines():
                sys.stderr.write(f"{line}\n")
            if ledger:
                for sink in durable:
                    waiting = ledger.waiting(sink.name)
                    sys.stderr.write(f"  {sink.name}: {waiting:,} rows wait in the ledger\n")


def _view(settings: Settings, bundle: Bundle) -> Any:
    """The live view, where standard output is a terminal and asked for; else None."""
    import sys

    if "stdout" not in settings.run.sinks or not sys.stdout.isatty():
        return None
    import time

    from edge_runtime.gateway.view import LiveView

    return LiveView(f"{bundle.name} on {settings.run.source}", bundle.metadata, time.monotonic)


def _stop_on_signals(pipeline: Pipeline | None) -> None:
    """The first signal ends the run cleanly, with exit code 0; a second one ends it at once."""
    import signal

    def stop(number: int, _frame: Any) -> None:
        signal.signal(number, signal.SIG_DFL)
        if pipeline is None:
            raise SystemExit(0)
        pipeline.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _to_stderr(line: str) -> None:
    import sys

    sys.stderr.write(f"edge-detect: {line}\n")
    sys.stderr.flush()


def _closing(ledger: Any) -> Any:
    from contextlib import closing

    return closing(ledger)
