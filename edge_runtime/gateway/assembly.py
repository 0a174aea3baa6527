"""Settings to parts: which source, which sinks, and whether a ledger stands between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import BundleError, UsageError
from edge_runtime.files import state_folder
from edge_runtime.text.csvrows import Columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_runtime.config import Settings
    from edge_runtime.delivery.ledger import Ledger
    from edge_runtime.engine.engine import Engine
    from edge_runtime.influxdb.settings import InfluxSettings
    from edge_runtime.loading.load import Bundle
    from edge_runtime.loading.trial import Trial
    from edge_runtime.signing.trust import Trust
    from edge_runtime.sinks.base import Sink
    from edge_runtime.sources.base import Source

__all__ = ["make_engine", "make_ledger", "make_sinks", "make_source", "make_trial", "make_trust"]

DIRECT_SINKS = ("stdout",)


def make_engine(settings: Settings, bundle: Bundle) -> Engine:
    """The engine, within the memory that the settings allow.

    Raises:
        BundleError: The states of so many machines would take more.
    """
    from edge_runtime.engine.engine import Engine  # noqa: PLC0415 - with numpy, after the source's settings

    part = settings.run
    engine = Engine(bundle, future_s=part.future_s, max_machines=part.max_machines)
    megabytes = part.max_machines * engine.machine_bytes / 1e6
    if megabytes > part.state_mb:
        raise BundleError(
            f"the states of {part.max_machines:,} machines may take {megabytes:,.0f} MB, and state_mb is "
            f"{part.state_mb:,}",
            where=bundle.name,
            hint="lower max_machines or raise state_mb in [run]",
        )
    return engine


def make_source(
    settings: Settings, bundle: Bundle, report: Callable[[str], None], now_ns: Callable[[], int]
) -> Source:
    """The source that the settings ask for, over the bundle's sensors.

    Args:
        settings: Which one.
        bundle: Whose sensors are read.
        report: Called with one line for a person.
        now_ns: What time to go by, nanoseconds since the epoch.

    Raises:
        EdgeDetectError: Its settings are wrong or incomplete.
    """
    sensors = bundle.metadata.sensor_names
    layout = settings.data
    columns = Columns(sensors, layout.time_column, layout.machine_column, layout.machine)
    kind = settings.run.source
    if kind == "csv":
        from edge_runtime.sources.csv import CsvSource  # noqa: PLC0415 - one source is used, one is imported

        if settings.csv.input is None:
            raise UsageError("the source csv needs a file", hint="name it with --input")
        return CsvSource(settings.csv.input, columns)
    if kind == "stdin":
        from edge_runtime.sources.stdin import StdinSource  # noqa: PLC0415

        return StdinSource(columns, report=report)
    if kind == "influx":
        return _influx_source(settings, sensors, report, now_ns)
    if kind == "mqtt":
        return _mqtt_source(settings, columns, report)
    from edge_runtime.sources.simulate import SimulateSource  # noqa: PLC0415

    simulate = settings.simulate
    return SimulateSource(
        sensors,
        machines=simulate.machines,
        severity=simulate.severity,
        rate=simulate.rate,
        seed=simulate.seed,
        cadence=simulate.cadence,
        speed=simulate.speed,
    )


def make_sinks(settings: Settings, bundle: Bundle) -> tuple[list[Sink], list[Sink]]:
    """The sinks that take rows at once, and those that stand behind a ledger.

    Raises:
        EdgeDetectError: A sink's settings are wrong or incomplete.
    """
    sinks = {name: _sink(name, settings, bundle) for name in settings.run.sinks}
    direct = [sink for name, sink in sinks.items() if name in DIRECT_SINKS]
    return direct, [sink for name, sink in sinks.items() if name not in DIRECT_SINKS]


def make_ledger(settings: Settings) -> Ledger:
    """The ledger of this source; `--state` names its file, else it lies in the user's state folder.

    Raises:
        LedgerError: It cannot be used.
    """
    import hashlib  # noqa: PLC0415

    from edge_runtime.delivery.ledger import Ledger  # noqa: PLC0415

    source = _identity(settings)
    path = settings.run.state
    if path is None:
        name = hashlib.sha256(source.encode()).hexdigest()[:12]
        path = state_folder() / f"{settings.run.source}-{name}.sqlite"
    return Ledger(path, source)


def make_trial(settings: Settings) -> Trial | None:
    """How an unseen bundle is tried; None for the default one, which comes with the code that would try it.

    What passed is remembered beside the ledger.
    """
    part = settings.run
    if part.bundle is None:
        return None
    from edge_runtime.loading.trial import Trial, TrialLimits  # noqa: PLC0415 - not for the default bundle

    limits = TrialLimits(part.trial_seconds, part.trial_memory_mb)
    return Trial(limits=limits, state=None if part.state is None else part.state.parent)


def make_trust(settings: Settings, *, updates: bool = False) -> Trust | None:
    """Who must have signed the bundle; None where no keys are configured, and anybody may have made it.

    Args:
        settings: With the keys.
        updates: Whether a bundle that is accepted is remembered.

    Raises:
        UsageError: A key is none.
    """
    part = settings.trust
    if not part.keys:
        return None
    from edge_runtime.signing.keys import trusted_key  # noqa: PLC0415
    from edge_runtime.signing.trust import DEFAULT_TARGET, Trust  # noqa: PLC0415

    beside_ledger = settings.run.state.absolute().parent if settings.run.state else state_folder()
    return Trust(
        tuple(trusted_key(entry) for entry in part.keys),
        part.target or DEFAULT_TARGET,
        (part.state or beside_ledger) / "accepted.json",
        updates,
    )


def _identity(settings: Settings) -> str:
    """What the source reads, so that a ledger is not used for another."""
    influx = settings.influx
    parts: dict[str, tuple[str | None, ...]] = {
        "influx": (influx.url, influx.database, influx.bucket, influx.measurement, *influx.machines),
        "mqtt": (settings.mqtt.url, settings.mqtt.topic),
        "csv": (str(settings.csv.input and settings.csv.input.resolve()),),
    }
    return " ".join([settings.run.source, *(part for part in parts.get(settings.run.source, ()) if part)])


def _sink(name: str, settings: Settings, bundle: Bundle) -> Sink:
    sensors = bundle.metadata.sensor_names
    if name == "stdout":
        from edge_runtime.sinks.stdout import StdoutSink  # noqa: PLC0415

        return StdoutSink(sensors)
    if name == "jsonl":
        from edge_runtime.sinks.jsonl import JsonlSink  # noqa: PLC0415

        if settings.jsonl.output is None:
            raise UsageError("the sink jsonl needs a file", hint="name it with --output")
        return JsonlSink(settings.jsonl.output, sensors)
    from edge_runtime.sinks.influx import InfluxSink  # noqa: PLC0415

    part = settings.influx_sink
    return InfluxSink(
        influx_settings_of(settings, for_sink=True), sensors, bundle.digest, measurement=part.measurement
    )


def _influx_source(
    settings: Settings,
    sensors: tuple[str, ...],
    report: Callable[[str], None],
    now_ns: Callable[[], int],
) -> Source:
    from edge_runtime.influxdb.readings import ReadingsQuery  # noqa: PLC0415
    from edge_runtime.sources.influx import InfluxSource  # noqa: PLC0415
    from edge_runtime.timeparse import parse_time  # noqa: PLC0415

    part, now = settings.influx, now_ns()
    if part.poll <= 0 or part.lateness < 0:
        raise UsageError("a poll needs more than 0 seconds, and a lateness 0 or more", where="influx")
    query = ReadingsQuery(
        sensors,
        measurement=part.measurement,
        machine_tag=part.machine_tag,
        machines=part.machines,
        default_machine=settings.data.machine,
    )
    try:
        flux = part.flux_file.read_text(encoding="utf-8") if part.flux_file else None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the query ({error})", where=str(part.flux_file)) from None
    return InfluxSource(
        influx_settings_of(settings, for_sink=False),
        query,
        start_ns=parse_time(part.start, now),
        until_ns=None if part.until is None else parse_time(part.until, now),
        poll=part.poll,
        lateness=part.lateness,
        future_s=settings.run.future_s,
        flux=flux,
        now_ns=now_ns,
        report=report,
    )


def _mqtt_source(settings: Settings, columns: Columns, report: Callable[[str], None]) -> Source:
    import hashlib  # noqa: PLC0415
    import socket  # noqa: PLC0415

    from edge_runtime.mqtt.broker import Broker, Topic  # noqa: PLC0415
    from edge_runtime.sources.mqtt import MqttSource  # noqa: PLC0415

    part = settings.mqtt
    # The same for every start, and another one on another gateway, for another feed or another ledger.
    state = str(settings.run.state.absolute() if settings.run.state else state_folder())
    own = hashlib.sha256(f"{socket.gethostname()} {_identity(settings)} {state}".encode()).hexdigest()[:12]
    broker = Broker.of(
        part.url,
        part.client_id or f"edge-detect-{own}",
        username=part.username,
        password_file=part.password_file,
    )
    return MqttSource(broker, Topic(part.topic), columns, report=report)


def influx_settings_of(settings: Settings, *, for_sink: bool) -> InfluxSettings:
    """The InfluxDB that is read from, or written to.

    Raises:
        UsageError: The settings do not fit together.
    """
    from edge_runtime.influxdb.settings import influx_settings  # noqa: PLC0415

    part, sink = settings.influx, settings.influx_sink
    database, org, bucket = part.database, part.org, part.bucket
    if for_sink and (sink.database or sink.bucket):
        database, org, bucket = sink.database, sink.org or part.org, sink.bucket
    return influx_settings(
        url=(sink.url if for_sink else None) or part.url,
        database=database,
        retention_policy=None if for_sink else part.retention_policy,
        org=org,
        bucket=bucket,
        username=part.username,
        token_file=part.token_file,
        password_file=part.password_file,
        timeout=part.timeout,
    )
