"""What there is at an InfluxDB, for a person who sets up a gateway; and where rows lie that are not read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from edge_runtime.addresses import HTTP, PORTS, TLS, who_answers
from edge_runtime.connector import Fact
from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.query import identifier, query
from edge_runtime.influxdb.reader import HOUR_NS
from edge_runtime.timeparse import ago

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_runtime.influxdb.reader import Reader
    from edge_runtime.influxdb.readings import ReadingsQuery

__all__ = ["elsewhere", "policies_with", "reachable", "survey"]

DAY_NS = 24 * HOUR_NS
NEWEST_WITHIN_NS = 31 * DAY_NS
MAX_NAMES = 12
FAR_NS = 120 * 10**9


def reachable(client: InfluxClient) -> Fact:
    """That the server answers, and its version.

    Raises:
        SourceUnavailableError: It does not, or something else answers there.
        SourceError: It refuses the login.
    """
    settings = client.settings
    try:
        version = client.version()
    except SourceUnavailableError:
        parts = urlsplit(settings.url)
        who = who_answers(parts.hostname or "", parts.port or PORTS[parts.scheme])
        if who in (None, TLS if parts.scheme == "https" else HTTP):
            raise
        raise SourceUnavailableError(
            f"{who} answers there, not an InfluxDB", where=settings.url, hint="check the address and the port"
        ) from None
    return Fact("server", f"InfluxDB {version or 'of unknown version'} at {settings.url}")


def survey(reader: Reader, wanted: ReadingsQuery, now_ns: int, stop_ns: int) -> Iterator[Fact]:
    """The measurement's fields, tags and machines, and its newest row.

    Raises:
        SourceError: Its rows are in another retention policy than the one that is read; or as the reader.
    """
    types = reader.fields(wanted.measurement)
    fields = [f"{name} ({' and '.join(sorted(kinds))})" if kinds else name for name, kinds in types.items()]
    yield Fact("fields", _listed(sorted(fields)))
    yield Fact("tags", _listed(list(reader.tags(wanted.measurement))))
    machines = reader.machines(replace(wanted, machines=()), now_ns - DAY_NS, stop_ns)
    # Who looks up any range has the names in an index without times.
    when = "" if reader.looks_up_any_range else " in the last 24 hours"
    yield Fact("machines", f"{len(machines):,}{when}: {_listed(list(machines))}")
    if wanted.tag is not None and reader.looks_up_any_range:
        yield from _apart(reader, wanted, wanted.machines or machines, now_ns, stop_ns)
    last = reader.last(wanted, now_ns - NEWEST_WITHIN_NS, stop_ns)
    if last is not None:
        yield Fact("newest row", ago(now_ns - last))
        return
    found = elsewhere(reader.client, wanted.measurement)
    if found:
        raise SourceError(f"there is no row: {found}", where=reader.client.settings.place)
    yield Fact("newest row", "none in the last 31 days", wrong=True)


def _apart(
    reader: Reader, wanted: ReadingsQuery, machines: tuple[str, ...], now_ns: int, stop_ns: int
) -> Iterator[Fact]:
    """The first machines whose newest rows are far from now: their clocks may be wrong."""
    for machine in machines[:MAX_NAMES]:
        own = replace(wanted, machines=(machine,))
        last = reader.last(own, now_ns - DAY_NS, now_ns + DAY_NS)
        if last is None:
            continue
        away = ago(now_ns - last)
        if last >= stop_ns:
            text = f"{machine}: its newest row is {away} of this gateway's clock, and waits for its time"
            yield Fact("clock", text, wrong=True)
        elif last < now_ns - FAR_NS:
            yield Fact("newest row", f"{machine}: {away}")


def elsewhere(client: InfluxClient, measurement: str) -> str | None:
    """Where rows of a measurement are, if its database has them in another retention policy of 1.x."""
    try:
        found = policies_with(client, measurement)
    except SourceUnavailableError:
        return None
    if not found:
        return None
    policy = client.settings.retention_policy
    here = f"'{policy}'" if policy else "the default one"
    return (
        f"none in the retention policy that is read, {here}; there are rows in {_listed(found)}: set "
        f'retention_policy = "{found[0]}" in [influx], or give --retention-policy'
    )


def policies_with(client: InfluxClient, measurement: str) -> list[str]:
    """The retention policies of 1.x, beside the one that is read, with rows of a measurement.

    Raises:
        SourceUnavailableError: The server cannot be reached.
    """
    settings = client.settings
    found: list[str] = []
    if settings.bucket or settings.mapped_bucket:  # which has one alone
        return found
    try:
        policies = [
            (str(name), bool(default))
            for series in query(client, f"SHOW RETENTION POLICIES ON {identifier(settings.database)}")
            for name, default in zip(series.column("name"), series.column("default"), strict=True)
        ]
        for name, default in policies:
            if name == settings.retention_policy or (default and not settings.retention_policy):
                continue
            other = InfluxClient(replace(settings, retention_policy=name))
            if any(s.values for s in query(other, f"SELECT * FROM {identifier(measurement)} LIMIT 1")):  # noqa: S608
                found.append(name)
    except SourceUnavailableError:
        raise
    except SourceError:
        pass  # other versions do not know the question: then there is nothing to say
    return found


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_NAMES
    return (", ".join(names[:MAX_NAMES]) + (f" and {more:,} more" if more > 0 else "")) or "none"
