"""What `edge-detect run` is to do: a TOML file, overridden by options, checked before anything starts.

`[run]`, `[trust]`, `[history]` and `[alarms]` are here; each connector has its own tables in its own file,
and what a `[[rule]]` may say stands in `engine/rules.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from edge_runtime.config import Text, assignment, fill, flat, nearest, read_toml, setting, settings_of
from edge_runtime.connector import Connector, Given, Registry
from edge_runtime.errors import UsageError
from edge_runtime.sinks.registry import SINKS
from edge_runtime.sources.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.engine.rules import Rule
    from edge_runtime.sinks.base import SinkKind
    from edge_runtime.sources.base import SourceKind

__all__ = [
    "OWN_TABLES",
    "AlarmsPart",
    "Chosen",
    "HistoryPart",
    "RunPart",
    "Settings",
    "TrustPart",
    "choose",
    "load_settings",
    "rules_of",
]

K = TypeVar("K", bound=Connector)
LONGEST_FUTURE_S = 366 * 86_400.0
SHORTEST_REPEAT_S = 1.0  # so often alarms are looked at
DEFAULT_SOURCE, DEFAULT_SINKS = "simulate", ("stdout",)


@dataclass(frozen=True, slots=True)
class RunPart:
    """What to run, and within which limits."""

    bundle: Path | None = setting(
        None,
        'Bundle that judges the rows; "default" is the one that comes with edge-detect. Every source but '
        "simulate needs one.",
        flag="--bundle",
    )
    source: str | None = setting(
        None,
        "Kind of source that readings come from, such as influx; `edge-detect connectors` lists them.",
        flag="--source",
    )
    sinks: tuple[str, ...] = setting(
        DEFAULT_SINKS,
        "Kind of sink that results go to, such as jsonl; `edge-detect connectors` lists them.",
        flag="--sink",
    )
    state: Path | None = setting(
        None, "File of the ledger; one in the user's state folder unless given.", flag="--state"
    )
    rows: int | None = setting(
        None, "Number of rows after which to stop, not counting rows that were judged before.", flag="--rows"
    )
    future_s: float = setting(60.0, "How far a row's time may be ahead of the gateway's clock.", unit="s")
    max_machines: int = setting(1000, "Maximum number of machines; rows of any further machine are unknown.")
    state_mb: int = setting(256, "Memory that the states of so many machines may take.", unit="MB")
    trial_seconds: int = setting(3, "Time within which a bundle that was not seen before is tried.", unit="s")
    trial_memory_mb: int = setting(256, "Memory within which such a bundle is tried.", unit="MB")

    def __post_init__(self) -> None:
        if not self.sinks or len(set(self.sinks)) != len(self.sinks):
            raise UsageError("name at least one sink, and each only once", where="[run] sinks")
        if self.rows is not None and self.rows < 1:
            raise UsageError("a run needs at least one row", where="[run] rows")
        if self.trial_seconds < 1 or self.trial_memory_mb < 1:
            raise UsageError("a trial needs at least 1 second and 1 MB", where="[run]")
        if self.max_machines < 1 or self.state_mb < 1 or not 0 <= self.future_s <= LONGEST_FUTURE_S:
            raise UsageError(
                "max_machines and state_mb must be 1 or more, and future_s 0 to a year", where="[run]"
            )


@dataclass(frozen=True, slots=True)
class TrustPart:
    """Who must have signed the bundle; `keys` None for nobody, `state` None for the ledger's folder."""

    keys: tuple[str, ...] | None = setting(
        None, 'Key that must have signed the bundle: a .pub file, or "name:base64".', flag="--trusted-key"
    )
    target: str | None = setting(
        None,
        "What this gateway is called in signatures: only a bundle signed for it is taken.",
        flag="--target",
    )
    state: Path | None = setting(
        None, "Folder that remembers which bundles were accepted; that of the ledger unless given."
    )

    def __post_init__(self) -> None:
        if not self.keys and (self.keys is not None or self.target or self.state):
            raise UsageError(
                "no key is trusted", where="[trust] keys", hint="name a .pub file, or leave out [trust]"
            )


@dataclass(frozen=True, slots=True)
class HistoryPart:
    """What is kept of a feed that has a ledger; `file` None for one beside it."""

    keep: bool = setting(True, "Whether a history of readings, verdicts and alarms is kept.")
    file: Path | None = setting(
        None, "File of the history; one in the folder `history` beside the ledger unless given."
    )
    max_mb: int = setting(1000, "Size of the history; beyond it the oldest rows go first.", unit="MB")
    max_days: int = setting(
        366, "Age up to which rows are kept; minutes are kept four times as long.", unit="days"
    )

    def __post_init__(self) -> None:
        if self.max_mb < 1 or self.max_days < 1:
            raise UsageError("max_mb and max_days must be 1 or more", where="[history]")


@dataclass(frozen=True, slots=True)
class AlarmsPart:
    """What holds for alarms whatever the bundle."""

    repeat_s: float = setting(
        3600.0,
        "Time after which an alarm of high priority that nobody has acknowledged is told again; 0 for never.",
        unit="s",
    )

    def __post_init__(self) -> None:
        if not (self.repeat_s == 0 or SHORTEST_REPEAT_S <= self.repeat_s <= LONGEST_FUTURE_S):
            raise UsageError("repeat_s must be 0, or from 1 second to a year", where="[alarms]")


RULE = "rule"
# Up to version 0.1 these stood elsewhere.
MOVED = {("data", "time_column"): ("map", "time.from"), ("data", "machine_column"): ("map", "machine")}
OWN_TABLES: dict[str, type] = {
    "run": RunPart,
    "trust": TrustPart,
    "history": HistoryPart,
    "alarms": AlarmsPart,
}


@dataclass(frozen=True, slots=True)
class Chosen(Generic[K]):
    """A connector with its settings."""

    kind: K
    given: Given


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration.

    Attributes:
        run: What to run.
        trust: Who must have signed the bundle.
        history: What is kept for those who look back.
        alarms: What holds for alarms.
        rules: On-site rules.
        source: Where readings come from.
        sinks: Where results go to.
    """

    run: RunPart
    trust: TrustPart
    history: HistoryPart
    alarms: AlarmsPart
    rules: tuple[Rule, ...]
    source: Chosen[SourceKind]
    sinks: tuple[Chosen[SinkKind], ...]

    @property
    def needs_ledger(self) -> bool:
        """Whether anything has to be stored: for a sink, or for the source to go on."""
        return self.source.kind.needs_ledger or any(not sink.kind.direct for sink in self.sinks)


def choose(
    path: Path | None, options: Mapping[str, Mapping[str, Any]], assignments: Sequence[str] = ()
) -> tuple[dict[str, dict[str, Any]], SourceKind, tuple[SinkKind, ...]]:
    """The tables, written and given, and the connectors that they name.

    Args:
        path: A TOML file; None for none.
        options: Table to key to value, which overrides the file; None or nothing for what was not given.
        assignments: Each a "TABLE.KEY=VALUE", which overrides both.

    Raises:
        UsageError: The file cannot be read, an assignment is none, or a connector is not there.
    """
    tables = {} if path is None else read_toml(path, many=(RULE,))
    document = {name: flat(values) for name, values in tables.items() if name != RULE}
    _take_over(document)
    for table, values in options.items():
        given = {key: value for key, value in values.items() if value is not None and value not in ([], ())}
        document[table] = {**document.get(table, {}), **given}
    for text in assignments:
        table, key, value = assignment(text)
        document[table] = {**document.get(table, {}), key: value}
    _take_over(document)
    run = fill(RunPart, document.get("run", {}), "run", _where(path))
    source = _named(SOURCES, DEFAULT_SOURCE if run.source is None else run.source, path)
    return document, source, tuple(_named(SINKS, name, path) for name in run.sinks)


def load_settings(
    path: Path | None, options: Mapping[str, Mapping[str, Any]], assignments: Sequence[str] = ()
) -> Settings:
    """Settings from a file, overridden by options; see `choose` for the arguments.

    Raises:
        UsageError: The file cannot be read, or a table, key or value is wrong.
    """
    document, source, sinks = choose(path, options, assignments)
    where = _where(path)
    chosen = (source, *sinks)
    for text in assignments:
        table, key, _ = assignment(text)
        _check_is_taken(table, key, chosen)
    for name, values in document.items():
        _check_table(name, values, chosen, where)
    return Settings(
        run=fill(RunPart, document.get("run", {}), "run", where),
        trust=fill(TrustPart, document.get("trust", {}), "trust", where),
        history=fill(HistoryPart, document.get("history", {}), "history", where),
        alarms=fill(AlarmsPart, document.get("alarms", {}), "alarms", where),
        rules=() if path is None else rules_of(path),
        source=Chosen(source, Given.of(source, document, where)),
        sinks=tuple(Chosen(sink, Given.of(sink, document, where)) for sink in sinks),
    )


def rules_of(path: Path) -> tuple[Rule, ...]:
    """The on-site rules of a TOML file.

    Raises:
        UsageError: It cannot be read, or one of them is none.
    """
    written = read_toml(path, many=(RULE,)).get(RULE, ())
    if not written:
        return ()
    from edge_runtime.engine.rules import MAX_RULES, rule_of  # noqa: PLC0415 - where there are rules

    if len(written) > MAX_RULES:
        raise UsageError(f"{len(written):,} rules, and there may be {MAX_RULES:,}", where=str(path))
    rules = {}
    for values in written:
        rule = rule_of(values, str(path))
        if rule.name in rules:
            raise UsageError(
                f"there are two rules '{rule.name}'", where=str(path), hint="give each its own name"
            )
        rules[rule.name] = rule
    return tuple(rules.values())


def _take_over(document: dict[str, dict[str, Any]]) -> None:
    """Settings under the names that they had before."""
    for (table, key), (new_table, new_key) in MOVED.items():
        if key in document.get(table, {}):
            if new_key in document.get(new_table, {}):
                raise UsageError(
                    f"'{key}' in [{table}] is now '{new_key}' in [{new_table}], and both are set"
                )
            document.setdefault(new_table, {})[new_key] = document[table].pop(key)


def _where(path: Path | None) -> str:
    return str(path) if path else "options"


def _named(registry: Registry[K], name: str, path: Path | None) -> K:
    try:
        return registry.get(name)
    except UsageError as error:
        raise UsageError(error.what, where=error.where or _where(path), hint=error.hint) from None


def _check_is_taken(name: str, key: str, chosen: Sequence[Connector]) -> None:
    """What a person sets on the command line must have an effect."""
    if any(key == one.name for table in _tables(name, chosen) for one in settings_of(table)):
        return
    takers = [
        kind.name
        for kind in _all()
        if name in kind.tables and any(key == one.name for one in settings_of(kind.tables[name]))
    ]
    if takers:
        raise UsageError(
            f"{name}.{key} belongs to {' and '.join(dict.fromkeys(takers))}, which is not used here",
            where="--set",
        )


def _check_table(name: str, values: Mapping[str, Any], chosen: Sequence[Connector], where: str) -> None:
    """Every key must be one of its table, and be right, whether or not its connector was chosen."""
    if any(isinstance(value, Text) for value in values.values()):
        where = "--set"
    known = {one.name for table in _tables(name, chosen) for one in settings_of(table)}
    if known and not set(values) - known:
        return
    tables = _tables(name, _all())
    if not tables:
        names = {*OWN_TABLES, *(table for kind in _all() for table in kind.tables)}
        raise UsageError(f"there is no table [{name}]", where=where, hint=nearest(name, sorted(names)))
    keys = list(dict.fromkeys(one.name for table in tables for one in settings_of(table)))
    for key in values:
        if key not in keys:
            raise UsageError(f"there is no '{key}' in [{name}]", where=where, hint=nearest(key, keys))
    for table in tables:
        fill(table, values, name, where)


def _tables(name: str, connectors: Sequence[Connector]) -> list[type]:
    """What holds the settings of a table."""
    own = [OWN_TABLES[name]] if name in OWN_TABLES else []
    return own + [kind.tables[name] for kind in connectors if name in kind.tables]


def _all() -> list[Connector]:
    return [*SOURCES.usable(), *SINKS.usable()]
