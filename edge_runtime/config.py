"""What `edge-detect run` is to do: a TOML file, overridden by options, checked before anything starts.

    [run]           bundle, source, sinks, state, rows, future_s, max_machines, state_mb, trial_seconds,
                    trial_memory_mb
    [trust]         keys: who must have signed the bundle, files or "name:base64"; target: what this gateway
                    is; state: the folder that remembers which bundles were accepted
    [data]          time_column, machine_column, machine: how CSV and JSON lines are laid out
    [csv]           input
    [jsonl]         output
    [influx]        url, database, retention_policy, org, bucket, username, token_file, password_file,
                    timeout; measurement, machine_tag, machines, start, until, poll, lateness, flux_file
    [mqtt]          url, topic, client_id, username, password_file
    [influx_sink]   url, database, org, bucket, measurement: where results go, if not where readings come from
    [simulate]      machines, severity, rate, seed, speed, cadence

Secrets are never in it: they come from the environment or from files that only their owner may read.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DataLayout",
    "InfluxPart",
    "InfluxSinkPart",
    "MqttPart",
    "RunPart",
    "Settings",
    "SimulatePart",
    "TrustPart",
    "load_settings",
]

SOURCES = ("simulate", "csv", "stdin", "influx", "mqtt")
SINKS = ("stdout", "jsonl", "influx")
LONGEST_FUTURE_S = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class RunPart:
    """What to run; `bundle` None is the default one, `state` None the usual place, `rows` None for ever.

    A row more than `future_s` seconds ahead of the gateway's clock is unknown, and so is one of a machine
    beyond `max_machines`, whose states may take `state_mb` together. A bundle that was not seen before is
    tried within `trial_seconds` and `trial_memory_mb`.
    """

    bundle: Path | None = None
    source: str = "simulate"
    sinks: tuple[str, ...] = ("stdout",)
    state: Path | None = None
    rows: int | None = None
    future_s: float = 60.0
    max_machines: int = 1000
    state_mb: int = 256
    trial_seconds: int = 3
    trial_memory_mb: int = 256

    def __post_init__(self) -> None:
        _choose("run.source", (self.source,), SOURCES)
        _choose("run.sinks", self.sinks, SINKS)
        if not self.sinks or len(set(self.sinks)) != len(self.sinks):
            raise UsageError("a run needs sinks, each once", where="run.sinks")
        if self.trial_seconds < 1 or self.trial_memory_mb < 1:
            raise UsageError("a trial needs at least 1 second and 1 MB", where="run")
        if self.max_machines < 1 or self.state_mb < 1 or not 0 <= self.future_s <= LONGEST_FUTURE_S:
            raise UsageError(
                "max_machines and state_mb must be 1 or more, and future_s 0 to a year", where="run"
            )


@dataclass(frozen=True, slots=True)
class TrustPart:
    """Who must have signed the bundle; `keys` None for nobody, `state` None for the ledger's folder."""

    keys: tuple[str, ...] | None = None
    target: str | None = None
    state: Path | None = None

    def __post_init__(self) -> None:
        if not self.keys and (self.keys is not None or self.target or self.state):
            raise UsageError(
                "no key is trusted", where="trust.keys", hint="name a .pub file, or leave out [trust]"
            )


@dataclass(frozen=True, slots=True)
class DataLayout:
    """Columns of a CSV, or keys of JSON lines, beside the sensors."""

    time_column: str = "time"
    machine_column: str = "machine_id"
    machine: str = "machine"


@dataclass(frozen=True, slots=True)
class CsvPart:
    """The file to read."""

    input: Path | None = None


@dataclass(frozen=True, slots=True)
class JsonlPart:
    """The file to append to."""

    output: Path | None = None


@dataclass(frozen=True, slots=True)
class InfluxPart:
    """The database to read; times as `parse_time` takes them, `poll` and `lateness` in seconds."""

    url: str = "http://127.0.0.1:8086"
    database: str | None = None
    retention_policy: str | None = None
    org: str | None = None
    bucket: str | None = None
    username: str | None = None
    token_file: Path | None = None
    password_file: Path | None = None
    timeout: float = 30.0
    measurement: str = "sensors"
    machine_tag: str = "machine_id"
    machines: tuple[str, ...] = ()
    start: str = "now"
    until: str | None = None
    poll: float = 1.0
    lateness: float = 10.0
    flux_file: Path | None = None


@dataclass(frozen=True, slots=True)
class InfluxSinkPart:
    """Where results go; what is None is as in `InfluxPart`."""

    url: str | None = None
    database: str | None = None
    org: str | None = None
    bucket: str | None = None
    measurement: str = "anomaly"


@dataclass(frozen=True, slots=True)
class MqttPart:
    """The broker to listen to; {machine} in the topic stands for the machine's id."""

    url: str = "mqtt://127.0.0.1:1883"
    topic: str = "sensors/{machine}"
    client_id: str | None = None
    username: str | None = None
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class SimulatePart:
    """The simulated machines: faults' severity and rate per hour, speed against real time, seconds a row."""

    machines: int = 3
    severity: float = 2.0
    rate: float = 10.0
    seed: int = 0
    speed: float = 1.0
    cadence: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole document, a table a field."""

    run: RunPart = field(default_factory=RunPart)
    trust: TrustPart = field(default_factory=TrustPart)
    data: DataLayout = field(default_factory=DataLayout)
    csv: CsvPart = field(default_factory=CsvPart)
    jsonl: JsonlPart = field(default_factory=JsonlPart)
    influx: InfluxPart = field(default_factory=InfluxPart)
    influx_sink: InfluxSinkPart = field(default_factory=InfluxSinkPart)
    mqtt: MqttPart = field(default_factory=MqttPart)
    simulate: SimulatePart = field(default_factory=SimulatePart)


def load_settings(path: Path | None, options: Mapping[str, Mapping[str, Any]]) -> Settings:
    """Settings from a file, overridden by options.

    Args:
        path: A TOML file; None for the defaults.
        options: Table to name to value; None or an empty list for an option that was not given.

    Raises:
        UsageError: The file cannot be read, or a table, name or value is wrong.
    """
    document = {} if path is None else _read(path)
    where = str(path) if path else "options"
    tables = {f.name: f for f in dataclasses.fields(Settings)}
    for name in document:
        if name not in tables:
            raise UsageError(f"no table '{name}'", where=where, hint=f"there are: {', '.join(tables)}")
    parts = {}
    for name in tables:
        written = document.get(name, {})
        if not isinstance(written, dict):
            raise UsageError(f"'{name}' is not a table", where=where, hint=f"write [{name}]")
        given = {k: v for k, v in options.get(name, {}).items() if v is not None and v not in ([], ())}
        parts[name] = _part(typing.get_type_hints(Settings)[name], {**written, **given}, name, where)
    return Settings(**parts)


def _read(path: Path) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"cannot read the configuration ({error.strerror})", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"not TOML ({error})", where=str(path)) from None


def _part(kind: Any, values: Mapping[str, Any], table: str, where: str) -> Any:
    hints = typing.get_type_hints(kind)
    for name in values:
        if name not in hints:
            raise UsageError(f"no '{name}' in [{table}]", where=where, hint=f"there are: {', '.join(hints)}")
    try:
        return kind(**{name: _value(hints[name], value) for name, value in values.items()})
    except TypeError as error:
        raise UsageError(f"a value in [{table}] is of a wrong type ({error})", where=where) from None


def _value(hint: Any, value: Any) -> Any:
    if typing.get_origin(hint) is types.UnionType:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise TypeError(f"{value!r} is not a list of texts")
        return tuple(value)
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise TypeError(f"{value!r} is not {'a number' if hint in (int, float) else 'a text'}")
    return value


def _choose(where: str, chosen: tuple[str, ...], known: tuple[str, ...]) -> None:
    for name in chosen:
        if name not in known:
            raise UsageError(f"no '{name}'", where=where, hint=f"choose from {', '.join(known)}")
