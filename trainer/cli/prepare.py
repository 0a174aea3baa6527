"""`edge-train prepare`: history from an InfluxDB or files to labelled training, validation and test data."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.cli.form_options import form_of
from edge_runtime.errors import UsageError, counted
from edge_runtime.mapping.roles import table
from edge_runtime.timeparse import parse_duration, parse_time
from trainer.cli.influx_options import (
    DEFAULT_URL,
    Bucket,
    Database,
    FluxFile,
    Org,
    PasswordFile,
    RetentionPolicy,
    TokenFile,
    Url,
    Username,
    connect,
    history_of,
)
from trainer.cli.label_options import LabelsFile, LabelsKey, NormalWhere, request_of
from trainer.cli.pairs import parse_units
from trainer.cli.table_options import Drop, IgnoreValue, LabelColumn, NormalValue, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.mapping.roles import RoleOf
    from trainer.prepare import Origin
    from trainer.prepare.influx import InfluxOrigin

__all__ = ["prepare"]

USUAL_GAP = "60s"


class Labels(StrEnum):
    """How rows are labelled."""

    EVENTS = "events"
    THRESHOLD = "threshold"
    STATISTICAL = "statistical"
    NONE = "none"


def prepare(
    ctx: typer.Context,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to create, with three CSV files and metadata.json.")
    ],
    csv: Annotated[
        list[Path] | None,
        typer.Option(
            help="CSV file to read, or a folder with such files, or a pattern in quotes such as "
            "'line-*/*.csv'. May be repeated.",
            show_default=False,
        ),
    ] = None,
    parquet: Annotated[
        list[Path] | None,
        typer.Option(
            help="Parquet file to read, or a folder with such files, or a pattern in quotes. May be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    url: Url = DEFAULT_URL,
    database: Database = None,
    retention_policy: RetentionPolicy = None,
    measurement: Annotated[
        str, typer.Option(help="InfluxDB measurement that holds the readings.")
    ] = "sensors",
    machine_tag: Annotated[
        str | None,
        typer.Option(
            help="Tag or column that holds the machine id. With =NAME, all rows belong to one "
            "machine of that name. [default: machine_id]"
        ),
    ] = None,
    machine_per_file: Annotated[
        bool,
        typer.Option(
            "--machine-per-file",
            help="Take each file for one machine, which is called as the file is, without its suffix. If two "
            "files have the same name, each machine is called as its folder and its file, such as north-1.",
        ),
    ] = False,
    sensor: Annotated[
        list[str] | None,
        typer.Option(
            help="Field or column of a sensor. May be repeated. [default: every numeric field or column]"
        ),
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option(help="Unit of a sensor, such as temperature=°C. May be repeated.")
    ] = None,
    machine: Annotated[
        list[str] | None, typer.Option(help="Machine to include. May be repeated. [default: all machines]")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Start of the time range, such as -7d or 2025-01-31T12:00:00Z. [default: -7d;"
            " for files, the first row]"
        ),
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option(
            help="End of the time range, itself excluded. [default: now; for files, after the last row]"
        ),
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="Percentages of the time range for training, validation and test. With machine or "
            "machine:70/15/15, each of them gets whole machines instead, with these percentages of the rows "
            "as nearly as the machines allow."
        ),
    ] = "70/15/15",
    gap: Annotated[
        str | None,
        typer.Option(
            help="Time that is left out between two splits of time, such as 60s or 5m. [default: 60s]",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Labels | None,
        typer.Option(
            help="Method by which rows are labelled. With none, the tables have no labels. [default: events, "
            "or what the files' own columns or --labels-file say, if there is anything, else none]"
        ),
    ] = None,
    label_column: LabelColumn = None,
    normal_value: NormalValue = None,
    ignore_value: IgnoreValue = None,
    normal_where: NormalWhere = None,
    labels_file: LabelsFile = None,
    labels_key: LabelsKey = None,
    drop: Drop = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Range of time FROM/TO to ignore, such as a maintenance: its rows are neither learnt from "
            "nor counted; unlabelled, they are left out. May be repeated.",
            show_default=False,
        ),
    ] = None,
    labels_measurement: Annotated[
        str, typer.Option(help="InfluxDB measurement that holds the labelled events.")
    ] = "events",
    events_file: Annotated[
        Path | None,
        typer.Option(
            help="Table of the events, with the columns machine_id, kind, start and stop.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="Normal range of a sensor as NAME=LOW:HIGH, for --labels threshold. May be "
            "repeated. [default: temperature=:85 vibration=:2.5 pressure=30:70 "
            "power=:400]"
        ),
    ] = None,
    sigma: Annotated[
        float,
        typer.Option(
            help="Number of standard deviations beyond which a reading is an anomaly, for "
            "--labels statistical."
        ),
    ] = 3.0,
    org: Org = None,
    bucket: Bucket = None,
    flux_file: FluxFile = None,
    username: Username = None,
    password_file: PasswordFile = None,
    token_file: TokenFile = None,
) -> None:
    """Create training, validation and test data from history in InfluxDB, CSV files or Parquet files."""
    from trainer.cli.progress import progress_bar
    from trainer.data.label_column import LabelChoice
    from trainer.data.names import refuse_sensors
    from trainer.prepare import Shares, check_folder, prepare_folder
    from trainer.prepare.excluded import Excluded, refuse_zoneless
    from trainer.prepare.label_request import LabelRequest
    from trainer.prepare.labelling import Labelling
    from trainer.prepare.paths import CSV_SUFFIXES, PARQUET_SUFFIXES, files_of

    files = files_of(csv or (), CSV_SUFFIXES, "--csv")
    files += files_of(parquet or (), PARQUET_SUFFIXES, "--parquet")
    check_folder(output, [*files, *filter(None, (events_file, labels_file))])
    shares, units = Shares.parse(split), parse_units(unit or [])
    gap_s = _gap_seconds(gap, by_machine=shares.by_machine)
    now_ns = time.time_ns()
    refuse_zoneless([start, stop, *(end for text in exclude or [] for end in text.split("/"))], form_of(ctx))
    excluded = Excluded.parse(exclude or [], now_ns)
    choice = LabelChoice(
        label_column, tuple(normal_value or ()), tuple(ignore_value or ()), tuple(drop or ())
    )
    learnt = labels if labels in {Labels.THRESHOLD, Labels.STATISTICAL} else None
    others = {"--events-file": events_file, f"--labels {learnt}": learnt}
    request = request_of(choice, normal_where, labels_file, labels_key, others)
    labelling = Labelling(
        method=labels.value if labels else None,
        events_file=events_file,
        measurement=labels_measurement,
        limits=tuple(limit or ()),
        sigma=sigma,
        excluded=excluded,
    )
    origin: Origin
    roles: Sequence[RoleOf] = ()
    history: InfluxOrigin | None = None
    if files:
        from trainer.prepare.files import FileOrigin

        if database or bucket or retention_policy or flux_file:
            raise UsageError(
                "files and InfluxDB cannot be combined",
                where="--csv, --parquet, --database, --bucket, --retention-policy, --flux-file",
            )
        origin = FileOrigin(
            files,
            form=form_of(ctx),
            sensors=sensor or (),
            machines=machine or (),
            machine_column=machine_tag,
            machine_per_file=machine_per_file,
            start_ns=parse_time(start, now_ns) if start else None,
            stop_ns=parse_time(stop, now_ns) if stop else None,
            labels=request,
        )
        roles = origin.roles
    else:
        if request != LabelRequest() or machine_per_file:
            raise UsageError(
                "only files have such columns",
                where="--label-column, --normal-where, --labels-file, --drop, --machine-per-file",
            )
        client = connect(
            url=url,
            database=database,
            org=org,
            bucket=bucket,
            username=username,
            password_file=password_file,
            token_file=token_file,
            retention_policy=retention_policy,
        )
        bounds = parse_time(start or "-7d", now_ns), parse_time(stop or "now", now_ns)
        origin = history = history_of(
            client, flux_file, measurement, machine_tag, sensor or (), machine or (), bounds
        )
    refuse_sensors(origin.sensors, "the history")
    for name in units.keys() - set(origin.sensors):
        raise UsageError(f"no sensor '{name}'", where="--unit", hint=f"there are {', '.join(origin.sensors)}")
    first_ns, last_ns = origin.extent()
    with progress_bar("prepare", (1 + shares.by_machine) * (last_ns - first_ns)) as progress:
        prepared = prepare_folder(
            origin,
            output,
            extent=(first_ns, last_ns),
            make_labeller=lambda train: labelling.labeller(origin, train, last_ns),
            shares=shares,
            gap_s=gap_s,
            units=units,
            progress=progress,
            excluded=excluded,
        )
    typer.echo(
        "\n".join(
            [prepared.table(), "", prepared.splits_table(), *(["", *table(roles), ""] if roles else [])]
        )
    )
    say([*origin.warnings(), *prepared.remarks(), *filter(None, [prepared.untrained()])])
    if history is not None:
        typer.echo(history.summary())
    typer.echo(f"{counted(prepared.metadata['rows'], 'row')} in {prepared.folder}")


def _gap_seconds(gap: str | None, *, by_machine: bool) -> float:
    """The time between two splits, of which there is none where whole machines are split."""
    if by_machine and gap is not None:
        raise UsageError(
            "has no meaning where whole machines are split",
            where="--gap",
            hint="leave it out, or split by time, such as with --split 70/15/15",
        )
    return _seconds(gap or USUAL_GAP)


def _seconds(text: str) -> float:
    """A length of time; a bare number is one of seconds."""
    try:
        return float(text)
    except ValueError:
        return parse_duration(text) / 1e9
