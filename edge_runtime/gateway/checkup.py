"""`edge-detect check`: all that a gateway would use is looked at; nothing is moved, locked or written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from edge_runtime.connector import Fact
from edge_runtime.errors import EdgeDetectError, counted, printable
from edge_runtime.gateway.assembly import make_engine, make_feed, make_trial, make_trust
from edge_runtime.gateway.clock import GatewayClock, known_moments
from edge_runtime.gateway.look import Look, look, zone_words
from edge_runtime.gateway.place import ledger_fact, place_of_ledger
from edge_runtime.loading.load import load_bundle
from edge_runtime.sinks.base import Verdicts
from edge_runtime.timeparse import ago

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_runtime.engine.engine import Engine
    from edge_runtime.gateway.settings import Settings
    from edge_runtime.loading.load import Bundle
    from edge_runtime.sources.base import Probe

__all__ = ["Checkup"]

# A cadence that is further from the one of training than this makes other rows of the same machine.
MAX_RATIO = 1.5


class Checkup:
    """One check; `run` tells each fact as it is found.

    Args:
        settings: What would run.
        seconds: How long to read.
        tell: Called with each fact.
        clock: Monotonic clock, in seconds.

    Attributes:
        facts: What was found.
        look: What came; None where nothing could be read.
    """

    def __init__(
        self,
        settings: Settings,
        seconds: float,
        tell: Callable[[Fact], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.facts: list[Fact] = []
        self.look: Look | None = None
        self._settings = settings
        self._seconds = seconds
        self._tell = tell
        self._clock = clock

    @property
    def wrong(self) -> list[Fact]:
        """What is wrong."""
        return [fact for fact in self.facts if fact.wrong]

    def run(self) -> None:
        """Looks at the bundle, the ledger, the source and the sinks.

        Raises:
            EdgeDetectError: The bundle cannot be used, so that nothing could be judged.
        """
        settings = self._settings
        trial = make_trial(settings, remembers=False)
        bundle = load_bundle(settings.run.bundle, trust=make_trust(settings), trial=trial)
        engine = make_engine(settings, bundle)
        metadata = bundle.metadata
        sensors = ", ".join(f"{sensor.name} {sensor.unit}".strip() for sensor in metadata.sensors)
        self._add(
            "bundle",
            f"{bundle.name}, {bundle.short_digest}: {sensors}; a row every {_s(metadata.cadence_seconds)}",
        )
        for warning in bundle.approval.warnings if bundle.approval else ():
            self._add("bundle", warning)
        for fact in _rules(settings, metadata.sensor_names):
            self._take(fact)
        path, identity = place_of_ledger(settings)
        self._add("source", identity)
        durable = any(not sink.kind.direct for sink in settings.sinks)
        if durable or settings.source.kind.needs_ledger:
            self._take(ledger_fact(path, identity))
        self._check_source(bundle, engine, identity)
        self._check_sinks(bundle)

    def _add(self, name: str, text: str, *, wrong: bool = False) -> None:
        self._take(Fact(name, text, wrong))

    def _take(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._tell(fact)

    def _check_source(self, bundle: Bundle, engine: Engine, identity: str) -> None:
        settings = self._settings
        said: list[str] = []
        clock = GatewayClock(known_moments(bundle), said.append)
        feed = make_feed(settings, bundle, identity, said.append, clock.arrival)
        try:
            probe = settings.source.kind.probed(settings.source.given, feed)
            for fact in probe.facts():
                self._take(fact)
            found = look(probe.source, engine, self._seconds, now_ns=clock.arrival, clock=self._clock)
        except EdgeDetectError as error:
            self._add("source", str(error), wrong=True)
        except Exception as error:  # noqa: BLE001 - whatever a source of another package raises
            self._add("source", f"{type(error).__name__}: {error}", wrong=True)
        else:
            self.look = found
            self._judge(found, bundle, probe)
        for line in dict.fromkeys(said):
            self._add("said", line)

    def _judge(self, found: Look, bundle: Bundle, probe: Probe) -> None:
        """What there is to say of what came."""
        self._add("rows", f"{found.rows:,} in {_s(found.seconds)}", wrong=not found.rows)
        counters = found.accounts.counters
        for name, number in sorted(counters.items()):
            kind, _, reason = name.partition(".")
            if kind in ("unknown", "skipped") and number:
                self._add(kind, f"{number:,} of {counted(found.rows, 'row')}: {reason}", wrong=True)
        if not sum(len(seen.times) for seen in found.machines.values()):
            try:
                for fact in probe.instead():
                    self._take(fact)
            except EdgeDetectError as error:
                self._add("instead", str(error), wrong=True)
            return
        if found.sensors_never:
            self._add("sensors", f"{', '.join(found.sensors_never)} did not come in any row", wrong=True)
        cadence = bundle.metadata.cadence_seconds
        for machine, seen in sorted(found.machines.items()):
            gap = seen.gap_s
            if gap is not None and gap and not 1 / MAX_RATIO <= gap / cadence <= MAX_RATIO:
                text = f"{machine}: a row every {_s(gap)}; the bundle was trained on one every {_s(cadence)}"
                self._add("cadence", text, wrong=True)
            offset = seen.offset_s
            words = None if offset is None else zone_words(offset, len(seen.offsets))
            if words:
                self._add("clock", f"{machine}: {words}", wrong=True)

    def _check_sinks(self, bundle: Bundle) -> None:
        verdicts = Verdicts(sensors=bundle.metadata.sensor_names, digest=bundle.digest, report=lambda _: None)
        for sink in self._settings.sinks:
            try:
                takes, _ = sink.kind.chosen(sink.given)
                sink.kind.probed(sink.given, verdicts)
            except EdgeDetectError as error:
                self._add("sink", f"{sink.kind.name}: {error}", wrong=True)
            except Exception as error:  # noqa: BLE001 - whatever a sink of another package raises
                self._add("sink", f"{sink.kind.name}: {type(error).__name__}: {error}", wrong=True)
            else:
                self._add("sink", f"{sink.kind.name}: takes {' and '.join(takes)}")

    def document(self, now_ns: int) -> dict[str, Any]:
        """All of it as JSON-ready values."""
        found = self.look or Look()
        return {
            "ok": not self.wrong,
            "facts": [{"name": fact.name, "text": fact.text, "wrong": fact.wrong} for fact in self.facts],
            "rows": dict(found.accounts.counters),
            "machines": {
                name: {
                    "rows": len(seen.times),
                    "seconds_between_rows": seen.gap_s,
                    "newest": ago(now_ns - max(seen.times)),
                    "clock_behind_s": seen.offset_s,
                    "verdicts": dict(seen.verdicts),
                }
                for name, seen in sorted(found.machines.items())
            },
            "first": found.first,
        }


def _rules(settings: Settings, sensors: Sequence[str]) -> Iterator[Fact]:
    """The on-site rules of the configuration; one for a sensor that the bundle does not have is wrong."""
    if not settings.rules:
        return
    from edge_runtime.engine.rules import summary  # noqa: PLC0415 - where there are rules
    from edge_runtime.gateway.ruling import no_such_sensor  # noqa: PLC0415

    for rule in settings.rules:
        known = rule.sensor is None or rule.sensor in sensors
        text = summary(rule) if known else no_such_sensor(rule, sensors)
        yield Fact("rule", f"{printable(rule.name)}: {text}", wrong=not known)


def _s(seconds: float) -> str:
    return f"{seconds:.3g} s"
