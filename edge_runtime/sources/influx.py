"""The source `influx`: its settings, and what is made of them. `influx_feed.py` reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.addresses import identity, same_server
from edge_runtime.config import setting
from edge_runtime.errors import UsageError
from edge_runtime.influxdb.readings import ReadingsQuery
from edge_runtime.influxdb.settings import InfluxServer, influx_settings
from edge_runtime.influxdb.template import read_template
from edge_runtime.mapping.form import DefaultMachine
from edge_runtime.sources.base import Feed, Probe, SourceKind
from edge_runtime.sources.influx_feed import InfluxSource
from edge_runtime.timeparse import parse_time
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from edge_runtime.connector import Given
    from edge_runtime.influxdb.settings import InfluxSettings

__all__ = ["INFLUX", "InfluxSourceSettings", "flux_template", "readings_query", "readings_server"]

LONGEST_S = 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class InfluxSourceSettings(InfluxServer):
    """Which server, which readings, and how they are followed."""

    retention_policy: str | None = setting(
        None, "Retention policy of InfluxDB 1.x that is not the default one.", flag="--retention-policy"
    )
    measurement: str = setting("sensors", "Measurement to read.", flag="--measurement")
    machine_tag: str = setting(
        "machine_id",
        "Tag with the machine's id; =NAME for rows of a single machine that have no such tag.",
        flag="--machine-tag",
    )
    machines: tuple[str, ...] = setting(
        (), "Machine to read. Without it, all machines are read.", flag="--machine"
    )
    start: str = setting(
        "now",
        "Where to begin without a checkpoint: now, a time, or a duration ago such as -1h.",
        flag="--start",
    )
    until: str | None = setting(
        None, "Time at which to stop, in the same form as start. Without it, run never stops.", flag="--until"
    )
    poll: float = setting(1.0, "Time between two polls.", unit="s", flag="--poll")
    lateness: float = setting(
        10.0,
        "How late a row may arrive, measured from its machine's newest row.",
        unit="s",
        flag="--lateness",
    )
    flux_file: Path | None = setting(
        None, "File with a Flux query of your own, with {start} and {stop} in it.", flag="--flux-file"
    )


def readings_server(given: Given) -> InfluxSettings:
    """The InfluxDB that readings come from.

    Raises:
        UsageError: The settings do not fit together.
    """
    part = given[InfluxSourceSettings]
    return influx_settings(
        url=part.url,
        database=part.database,
        retention_policy=part.retention_policy,
        org=part.org,
        bucket=part.bucket,
        username=part.username,
        token_file=part.token_file,
        password_file=part.password_file,
        timeout=part.timeout,
        tls=given[TlsSettings],
    )


def readings_query(given: Given, sensors: tuple[str, ...]) -> ReadingsQuery:
    """Which readings of these sensors are read."""
    part = given[InfluxSourceSettings]
    return ReadingsQuery(
        sensors,
        measurement=part.measurement,
        machine_tag=part.machine_tag,
        machines=part.machines,
        default_machine=given[DefaultMachine].machine,
    )


def flux_template(given: Given) -> str | None:
    """The Flux query of one's own.

    Raises:
        UsageError: Its file cannot be read.
    """
    path = given[InfluxSourceSettings].flux_file
    return read_template(path) if path else None


def _make(given: Given, feed: Feed) -> InfluxSource:
    part, now = given[InfluxSourceSettings], feed.now_ns()
    if not 0 < part.poll <= LONGEST_S or not 0 <= part.lateness <= LONGEST_S:
        raise UsageError(
            "poll must be greater than 0, lateness must not be negative, and both at most a year",
            where="[influx]",
        )
    return InfluxSource(
        readings_server(given),
        readings_query(given, feed.sensors),
        start_ns=parse_time(part.start, now),
        until_ns=None if part.until is None else parse_time(part.until, now),
        poll=part.poll,
        lateness=part.lateness,
        future_s=feed.future_s,
        flux=flux_template(given),
        now_ns=feed.now_ns,
        report=feed.report,
    )


def _probe(given: Given, feed: Feed) -> Probe:
    from edge_runtime.sources.influx_probe import InfluxProbe  # noqa: PLC0415 - for `check` alone

    return InfluxProbe(given, feed)


def _identity(given: Given) -> str:
    part = given[InfluxSourceSettings]
    return identity(
        "influx",
        part.url,
        database=part.database,
        org=part.org if part.bucket else None,
        bucket=part.bucket,
        retention_policy=part.retention_policy,
        measurement=part.measurement,
    )


def _earlier_identity(given: Given) -> str:
    """Before, settings were put one after another as they were written, and the machines after them."""
    part = given[InfluxSourceSettings]
    words = (part.url, part.database, part.bucket, part.measurement, *part.machines)
    return " ".join(["influx", *(word for word in words if word)])


def _has_earlier(stored: str, given: Given) -> bool:
    """Whether a line as `_earlier_identity` made it differs in the address's spelling and machines alone."""
    part = given[InfluxSourceSettings]
    kind, _, rest = stored.partition(" ")
    url, _, what = rest.partition(" ")
    words = [word for word in (part.database, part.bucket, part.measurement) if word]
    same = f"{kind} {same_server(url)} {what} ".startswith(
        f"influx {same_server(part.url)} {' '.join(words)} "
    )
    rest = f"{what} "[len(" ".join(words)) + 1 :]
    for machine in sorted(part.machines, key=len, reverse=True):
        rest = rest.replace(f"{machine} ", "", 1)
    return same and not (part.machines and rest.strip())


INFLUX = SourceKind(
    name="influx",
    summary="Follows a measurement of an InfluxDB 1.x, 2.x or 3 Core, machine by machine.",
    guarantee=(
        "At least once from the last committed row, and no row twice. A row that comes later than the "
        "lateness is not found."
    ),
    tables={"influx": InfluxSourceSettings, "tls": TlsSettings, "data": DefaultMachine},
    make=_make,
    identity=_identity,
    earlier_identity=_earlier_identity,
    has_earlier=_has_earlier,
    needs_ledger=True,
    probe=_probe,
)
