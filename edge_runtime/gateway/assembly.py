"""Settings to parts: which bundle, which source, which sinks, and the ledger that stands between them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edge_runtime.config import settings_of, value_of
from edge_runtime.errors import UsageError
from edge_runtime.files import refuse_same, state_folder
from edge_runtime.sinks.base import EVERYTHING, ROWS, Sink, Verdicts
from edge_runtime.sources.base import Feed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_runtime.engine.engine import Engine
    from edge_runtime.gateway.settings import Chosen, Settings
    from edge_runtime.loading.load import Bundle
    from edge_runtime.loading.trial import Trial
    from edge_runtime.signing.trust import Trust
    from edge_runtime.sinks.outlet import Outlet

__all__ = ["check_is_complete", "make_engine", "make_feed", "make_sinks", "make_trial", "make_trust"]


def check_is_complete(settings: Settings, config: Path | None) -> None:
    """A configuration says what to read, and real readings need a bundle that was chosen for them.

    Raises:
        UsageError: It is left to a default.
    """
    kind = settings.source.kind
    if config is not None and settings.run.source is None:
        raise UsageError(
            "no source is set", where=str(config), hint='write in [run], such as: source = "influx"'
        )
    if kind.needs_bundle and settings.run.bundle is None:
        raise UsageError(
            f"the source {kind.name} needs a bundle",
            hint="give --bundle FILE, or --bundle default for the one that comes with edge-detect",
        )
    outputs = {
        sink.kind.name: path for sink in settings.sinks for name, path in _files(sink) if name == "output"
    }
    if outputs:
        read = _read_or_kept(settings, config)
        for name, path in outputs.items():
            refuse_same(path, read, f"[{name}] output")
            read[f"the output of the sink {name}"] = path


def _files(chosen: Chosen[Any]) -> Iterator[tuple[str, Path]]:
    """The files that a connector's settings name, each with its key."""
    for table in chosen.kind.tables.values():
        for one in settings_of(table):
            value = value_of(chosen.given[table], one.name)
            if one.kind is not Path or value is None:
                continue
            yield from ((one.name, path) for path in (value if one.many else (value,)))


def _read_or_kept(settings: Settings, config: Path | None) -> dict[str, Path | None]:
    """What no result may be written to, by what it is."""
    from edge_runtime.delivery.operator import operator_file  # noqa: PLC0415 - where results go to a file
    from edge_runtime.gateway.place import place_of_ledger  # noqa: PLC0415
    from edge_runtime.history.schema import history_file  # noqa: PLC0415

    ledger, bundle = place_of_ledger(settings)[0], settings.run.bundle
    past = settings.history.file or history_file(ledger)
    beside = ("-wal", "-shm", "-journal", ".lock")
    read: dict[str, Path | None] = {
        "the configuration": config,
        "the bundle": bundle,
        "the bundle's signature": None if bundle is None else Path(f"{bundle}.sig"),
        "the ledger": ledger,
        "the record of what people say about alarms": operator_file(ledger),
        "the history": past,
    }
    for what, path in (("the ledger", ledger), ("the history", past)):
        read |= {f"{what}'s {end}": path.with_name(f"{path.name}{end}") for end in beside}
    read |= {f"the trusted key {key}": Path(key) for key in settings.trust.keys or ()}
    connectors: list[Chosen[Any]] = [settings.source, *settings.sinks]
    for chosen in connectors:
        files = [(name, path) for name, path in _files(chosen) if name != "output"]
        read |= {f"what {chosen.kind.name} reads as {name}": path for name, path in files}
    return read


def make_engine(settings: Settings, bundle: Bundle) -> Engine:
    """The engine, within the memory that the settings allow.

    Raises:
        BundleError: The states of so many machines would take more.
    """
    from edge_runtime.engine.engine import Engine  # noqa: PLC0415 - with numpy, after the source's settings

    part = settings.run
    return Engine(
        bundle,
        future_s=part.future_s,
        max_machines=part.max_machines,
        state_mb=part.state_mb,
        alarms=True,
        rules=settings.rules,
        # Without a ledger nobody can acknowledge anything.
        repeat_s=(settings.alarms.repeat_s or None) if settings.needs_ledger else None,
    )


def make_feed(
    settings: Settings,
    bundle: Bundle,
    identity: str,
    report: Callable[[str], None],
    now_ns: Callable[[], int],
) -> Feed:
    """What a source is made for.

    Args:
        settings: Which source, and which ledger.
        bundle: Whose sensors are read.
        identity: What is read, as `place_of_ledger` found it.
        report: Called with one line for a person.
        now_ns: What time to go by, nanoseconds since the epoch.
    """
    state = settings.run.state.absolute() if settings.run.state else state_folder()
    return Feed(
        sensors=bundle.metadata.sensor_names,
        report=report,
        now_ns=now_ns,
        future_s=settings.run.future_s,
        owner=f"{_node()} {identity} {state}",
    )


def _owner(settings: Settings) -> str:
    """This host with the ledger's file, or with what the file's name will be made of."""
    if settings.run.state is not None:
        return f"{_node()} {settings.run.state.absolute()}"
    source = settings.source
    return f"{_node()} {source.kind.identity(source.given)} {state_folder()}"


def _node() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


class Sinks(NamedTuple):
    """The sinks of a feed.

    Attributes:
        direct: Those that get every row at once, and nothing else.
        some: Those that get at once what goes there of rows and alarms.
        durable: Those that stand behind a ledger, each with the number of posts that may be under way.
    """

    direct: list[Sink]
    some: list[Outlet]
    durable: list[tuple[Outlet, int]]


def make_sinks(
    settings: Settings, bundle: Bundle, report: Callable[[str], None], state: Path | None = None
) -> Sinks:
    """The sinks, each with what goes there.

    Args:
        settings: Which sinks.
        bundle: Which sensors there are.
        report: Called with one line for a person.
        state: The ledger's file; None where there is none.

    Raises:
        EdgeDetectError: A sink's settings are wrong or incomplete.
    """
    sensors, owner = bundle.metadata.sensor_names, _owner(settings)
    path = None if state is None else state.absolute()
    verdicts = Verdicts(sensors=sensors, digest=bundle.digest, report=report, owner=owner, state=path)
    made = Sinks([], [], [])
    for one in settings.sinks:
        kind, (takes, only) = one.kind, one.kind.chosen(one.given)
        sink = kind.made(one.given, verdicts)
        if kind.direct and takes == (ROWS,) and only == EVERYTHING:
            made.direct.append(sink)
            continue
        from edge_runtime.sinks.outlet import Outlet  # noqa: PLC0415 - not for what gets every row at once

        outlet = Outlet(sink, takes, only, kind.tells)
        if kind.direct:
            made.some.append(outlet)
        else:
            made.durable.append((outlet, kind.max_under_way))
    return made


def make_trial(settings: Settings, *, remembers: bool = True) -> Trial | None:
    """How an unseen bundle is tried; None for the default one, which comes with the code that would try it.

    What passed is remembered beside the ledger, unless it is said not to be.
    """
    from edge_runtime.loading.load import is_default  # noqa: PLC0415 - with numpy, after the settings

    part = settings.run
    if is_default(part.bundle):
        return None
    from edge_runtime.loading.trial import Trial, TrialLimits  # noqa: PLC0415 - not for the default bundle

    limits = TrialLimits(part.trial_seconds, part.trial_memory_mb)
    state = None if part.state is None else part.state.parent
    return Trial(limits=limits, state=state, remembers=remembers)


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
