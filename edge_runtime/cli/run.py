"""`edge-detect run`: follow a feed, score it, deliver what is found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edge_runtime.cli.settings_options import Assignments, Config, given_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import closing

    from edge_runtime.cli.guard import Signals
    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.engine.engine import Engine
    from edge_runtime.gateway.alarming import Alarming
    from edge_runtime.gateway.clock import GatewayClock
    from edge_runtime.gateway.settings import Settings
    from edge_runtime.history.history import History
    from edge_runtime.loading.load import Bundle

__all__ = ["run"]

# So long a start waits for a sink that may be away.
CHECK_S = 5.0


def run(
    ctx: typer.Context,
    *,
    config: Config = None,
    assignments: Assignments = None,
) -> None:
    """Follow a feed, judge every row, deliver verdicts. On a terminal a live view, in a pipe JSON lines.

    Ctrl-C and SIGTERM end it cleanly. Secrets are never options: they come from the environment, or from
    files that only their owner may read.
    """
    from edge_runtime.gateway.assembly import check_is_complete
    from edge_runtime.gateway.settings import load_settings

    settings = load_settings(config, given_options(ctx), assignments or ())
    check_is_complete(settings, config)
    _run(settings)


def _run(settings: Settings) -> None:
    from edge_runtime.cli.guard import Signals

    # Until there is something to stop, nothing is lost by ending at once; later, a ledger keeps what is not.
    with Signals(_end_now, code=0, hangup=_hang_up) as signals:
        _follow(settings, signals)


def _end_now(_number: int) -> None:
    raise SystemExit(0)


def _hang_up() -> None:
    """A program that has renamed the output file asks to open it again, which happens by itself."""
    _to_stderr("SIGHUP: an output file that was renamed is begun anew with the next delivery")


def _follow(settings: Settings, signals: Signals) -> None:
    from contextlib import ExitStack, suppress

    from edge_runtime.cli.guard import imported, say
    from edge_runtime.errors import LedgerUnavailableError, SourceUnavailableError
    from edge_runtime.gateway.assembly import make_engine, make_feed, make_sinks, make_trial, make_trust
    from edge_runtime.gateway.clock import GatewayClock, known_moments
    from edge_runtime.gateway.pipeline import Pipeline
    from edge_runtime.loading.load import load_bundle

    trust = make_trust(settings, updates=True)
    bundle = load_bundle(settings.run.bundle, trust=trust, trial=make_trial(settings))
    for warning in bundle.approval.warnings if bundle.approval else ():
        _to_stderr(f"{bundle.name}: {warning}")
    with ExitStack() as stack:
        view = _view(settings, bundle)
        report = _unfailing(view.report) if view else _to_stderr
        engine = make_engine(settings, bundle)
        clock = GatewayClock(known_moments(bundle), report)
        place = None
        if settings.needs_ledger:
            from edge_runtime.gateway.place import place_of_ledger

            place = place_of_ledger(settings)
        sinks = make_sinks(settings, bundle, report, place[0] if place else None)
        feed = make_feed(settings, bundle, place[1] if place else "", report, clock.arrival)
        source = settings.source.kind.make(settings.source.given, feed)
        # What is away, or empty so far, is waited for: `run` says so and tries again.
        with suppress(SourceUnavailableError):
            source.check()
        for sink in (*sinks.direct, *(outlet.sink for outlet in sinks.some)):
            sink.check()
        ledger = stack.enter_context(_ledger(*place, report)) if place else None
        senders = []
        if ledger:
            from edge_runtime.delivery.sender import Sender

            senders = [Sender(outlet, ledger, report, max_under_way=most) for outlet, most in sinks.durable]
        for sender in senders:
            sender.check(CHECK_S)
        if ledger and (last := ledger.clock()) is not None:
            clock.know("the ledger was written", last)
        pipeline = Pipeline(
            source,
            engine,
            direct=[] if view else sinks.direct,
            some=[] if view else sinks.some,
            ledger=ledger,
            senders=senders,
            report=report,
            watch=view.watch if view else None,
            make_history=_make_history(settings, engine, report, place),
            make_alarming=lambda: _alarming(settings, engine, report, place, clock if source.live else None),
            max_rows=settings.run.rows,
            now=clock if source.live else None,
            arrival=clock.arrival,
        )
        signals.stop = lambda _number: pipeline.stop()
        _say_start(settings, engine, report, place)
        imported()
        try:
            with view or ExitStack():
                pipeline.run()
        finally:
            for line in pipeline.accounts.lines():
                say(line)
            if ledger:
                with suppress(LedgerUnavailableError):  # what went wrong before says more
                    for sender in senders:
                        name = sender.sink.name
                        say(f"  {name}: {ledger.sums(name).text(*sender.outlet.words)}")


def _alarming(
    settings: Settings,
    engine: Engine,
    report: Callable[[str], None],
    place: tuple[Path, str] | None,
    clock: GatewayClock | None,
) -> Alarming:
    """What is done about alarms; without a ledger, nobody can say anything about them.

    Shelvings end by the clock by which people said when, right or wrong.
    """
    import time

    from edge_runtime.gateway.alarming import Alarming

    if place is None:
        return Alarming(engine, report, time.monotonic, time.time_ns, None, "")
    from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file
    from edge_runtime.gateway.ruling import Ruling

    words = OperatorFile(operator_file(place[0]))
    ruling = Ruling(engine, report, time.time_ns, settings.rules)
    feed = feed_of(place[0])

    def believed() -> bool:
        return clock is None or clock() is not None

    return Alarming(engine, report, time.monotonic, time.time_ns, words, feed, ruling, believed)


def _make_history(
    settings: Settings, engine: Engine, report: Callable[[str], None], place: tuple[Path, str] | None
) -> Callable[[Ledger], History] | None:
    part = settings.history
    if place is None or not part.keep:
        return None
    from edge_runtime.history.bounds import Bounds
    from edge_runtime.history.history import History
    from edge_runtime.history.schema import history_file

    path = part.file or history_file(place[0])
    bounds = Bounds(part.max_mb, part.max_days)

    def make(ledger: Ledger) -> History:
        return History(path, engine, ledger.history(), report=report, tell=ledger.note_history, bounds=bounds)

    return make


def _say_start(
    settings: Settings, engine: Engine, report: Callable[[str], None], place: tuple[Path, str] | None
) -> None:
    """Says what runs here; with a ledger, the rules are said once it has told what people set."""
    report(_start_line(settings, engine.bundle, place))
    if settings.rules and place is None:
        import time

        from edge_runtime.gateway.ruling import Ruling

        Ruling(engine, report, time.time_ns, settings.rules).go_on(None)


def _start_line(settings: Settings, bundle: Bundle, place: tuple[Path, str] | None) -> str:
    """What runs here: for the one who looks at a service's log."""
    from edge_runtime.version import __version__

    source = settings.source.kind.identity(settings.source.given)
    ledger = f"; ledger {place[0]}" if place else ""
    return (
        f"version {__version__}; bundle {bundle.name}, {bundle.short_digest}; source {source}; "
        f"{'sink' if len(settings.sinks) == 1 else 'sinks'} {', '.join(settings.run.sinks)}{ledger}"
    )


def _view(settings: Settings, bundle: Bundle) -> Any:
    """The live view, where standard output is a terminal and asked for; else None."""
    import sys

    if "stdout" not in settings.run.sinks or sys.stdout is None or not sys.stdout.isatty():
        return None
    import os
    import time

    if os.environ.get("TERM", "").lower() in ("dumb", "unknown"):  # which cannot be drawn on
        return None

    from edge_runtime.gateway.view import LiveView

    return LiveView(f"{bundle.name} on {settings.source.kind.name}", bundle.metadata, time.monotonic)


def _to_stderr(line: str) -> None:
    from edge_runtime.cli.guard import say

    say(f"edge-detect: {line}")


def _unfailing(report: Callable[[str], None]) -> Callable[[str], None]:
    """The same, for any thread: a terminal that is gone must not end what reports."""
    from contextlib import suppress

    def tell(line: str) -> None:
        with suppress(OSError, ValueError):
            report(line)

    return tell


def _ledger(path: Path, identity: str, report: Callable[[str], None]) -> closing[Ledger]:
    from contextlib import closing

    from edge_runtime.delivery.ledger import Ledger

    return closing(Ledger(path, identity, report=report))
