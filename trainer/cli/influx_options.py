"""The options that say which InfluxDB, shared by the commands that read or write one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.influxdb import InfluxClient
    from trainer.prepare.influx import InfluxOrigin

__all__ = [
    "Bucket",
    "Database",
    "FluxFile",
    "Org",
    "PasswordFile",
    "RetentionPolicy",
    "TokenFile",
    "Url",
    "Username",
    "connect",
    "history_of",
]

Url = Annotated[str, typer.Option(help="URL of the InfluxDB server.")]
Database = Annotated[str | None, typer.Option(help="Database of InfluxDB 1 or 3.", show_default=False)]
FluxFile = Annotated[
    Path | None,
    typer.Option(
        help="File with a Flux query of your own, with {start} and {stop} in it, for a bucket.",
        show_default=False,
    ),
]
RetentionPolicy = Annotated[
    str | None,
    typer.Option(
        help="Retention policy of InfluxDB 1. [default: the database's default one]", show_default=False
    ),
]
Org = Annotated[str | None, typer.Option(help="Organisation of InfluxDB 2.", show_default=False)]
Bucket = Annotated[
    str | None, typer.Option(help="Bucket of InfluxDB 2, instead of a database.", show_default=False)
]
Username = Annotated[str | None, typer.Option(help="User name for InfluxDB 1.", show_default=False)]
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the password, readable only by its owner. [default: "
        "EDGE_DETECT_INFLUX_PASSWORD from the environment]",
        show_default=False,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token, readable only by its owner. [default: "
        "EDGE_DETECT_INFLUX_TOKEN from the environment]",
        show_default=False,
    ),
]

DEFAULT_URL = "http://127.0.0.1:8086"


def connect(
    *,
    url: str,
    database: str | None,
    org: str | None,
    bucket: str | None,
    username: str | None,
    password_file: Path | None,
    token_file: Path | None,
    retention_policy: str | None = None,
) -> InfluxClient:
    """A client for these options.

    Raises:
        UsageError: They do not fit together.
    """
    from edge_runtime.influxdb import InfluxClient, influx_settings

    if not database and not bucket:
        raise UsageError("no database was named", hint="give --database, or --bucket with --org")
    if retention_policy and not database:
        raise UsageError(
            "a bucket has no retention policies to choose from",
            where="--retention-policy",
            hint="leave it out, or give --database",
        )
    return InfluxClient(
        influx_settings(
            url=url,
            database=database,
            retention_policy=retention_policy,
            org=org,
            bucket=bucket,
            username=username,
            password_file=password_file,
            token_file=token_file,
        )
    )


def history_of(
    client: InfluxClient,
    flux_file: Path | None,
    measurement: str,
    machine_tag: str | None,
    sensors: Sequence[str],
    machines: Sequence[str],
    bounds: tuple[int, int],
) -> InfluxOrigin:
    """The history of a measurement, or by the Flux query in a file.

    Args:
        client: The database.
        flux_file: The file with the query; None for the measurement.
        measurement: Holds the readings.
        machine_tag: Holds the machine ids; None for the usual one.
        sensors: Fields of sensors; empty for all.
        machines: These alone; empty for all.
        bounds: The first time, and the first one after the range, nanoseconds.

    Raises:
        UsageError: The options do not fit together.
    """
    from edge_runtime.influxdb.template import read_template
    from trainer.prepare.influx import InfluxOrigin
    from trainer.prepare.influx_query import QueryOrigin

    start_ns, stop_ns = bounds
    if start_ns >= stop_ns:
        raise UsageError("the start is not before the stop", where="--start, --stop")
    if flux_file is None:
        return InfluxOrigin(
            client,
            measurement=measurement,
            machine_tag=machine_tag or "machine_id",
            sensors=sensors,
            machines=machines,
            start_ns=start_ns,
            stop_ns=stop_ns,
        )
    if machines:
        raise UsageError(
            "machines cannot be chosen from a query of one's own",
            where="--machine, --flux-file",
            hint="choose them in the query",
        )
    return QueryOrigin(
        client,
        read_template(flux_file),
        machine_tag=machine_tag or "machine_id",
        sensors=sensors,
        start_ns=start_ns,
        stop_ns=stop_ns,
    )
