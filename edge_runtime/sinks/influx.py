"""Results into an InfluxDB, whose points are identified by measurement, tags and time."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.config import setting
from edge_runtime.errors import SinkError, SinkUnavailableError, UsageError
from edge_runtime.influxdb.client import MAX_POST_BYTES, InfluxClient
from edge_runtime.influxdb.lines import encode_lines
from edge_runtime.influxdb.settings import InfluxServer, InfluxSettings, influx_settings
from edge_runtime.influxdb.write import check_write, refused_lines, write
from edge_runtime.records import Reason, Verdict
from edge_runtime.sinks.base import (
    ALARMS,
    EVERYTHING,
    ROWS,
    TAKES,
    Only,
    RowsRefusedError,
    SinkKind,
    Verdicts,
)
from edge_runtime.sinks.influx_alarms import check_names, encode_change
from edge_runtime.tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.connector import Given
    from edge_runtime.engine.alarms import Change
    from edge_runtime.records import Results

__all__ = ["INFLUX", "InfluxSink", "InfluxSinkSettings", "results_server"]

VERDICTS = np.array([verdict.label for verdict in Verdict])
REASONS = np.array([reason.label for reason in Reason])
DIGEST_DIGITS = 12
BUNDLE_TAG = "bundle"
# The same point is the same wherever it comes from, so order does not matter; and InfluxDB 3 takes up to a
# second for a post.
MAX_POSTS = 3
# Bytes of payloads that go together, half of what a server takes: what is under way is in memory.
MAX_TOGETHER = MAX_POST_BYTES // 2


@dataclass(frozen=True, slots=True)
class InfluxSinkSettings:
    """Where results go; what is not given is as in `[influx]`."""

    url: str | None = setting(
        None,
        "Address of the server that results go to, if it differs from url in [influx].",
        flag="--sink-url",
    )
    database: str | None = setting(
        None, "Database that results go to, if it differs from that in [influx].", flag="--sink-database"
    )
    org: str | None = setting(None, "Organisation that owns that bucket, if it differs from [influx].")
    bucket: str | None = setting(
        None,
        "Bucket of InfluxDB 2.x that results go to, if it differs from that in [influx].",
        flag="--sink-bucket",
    )
    measurement: str = setting("anomaly", "Measurement to write.", flag="--sink-measurement")
    alarm_measurement: str = setting("alarms", "Measurement to write changes of alarms to.")
    machine_tag: str = setting(
        "machine_id", 'Tag with the machine\'s id; earlier versions wrote it as "machine".'
    )
    takes: tuple[str, ...] = setting((ROWS, ALARMS), TAKES)
    only: Only = EVERYTHING


class InfluxSink:
    """Writes one point a row: tags machine_id and bundle; fields score, severity, verdict, and per sensor.

    Where they apply: the fields reason, of an unknown row, degraded, of one judged without a sensor, and
    sensor_status, of one with a sensor that is not good. A change of an alarm is a point as well, of another
    measurement: `encode_change` says what is in it.

    Args:
        settings: Which server.
        sensors: The bundle's, for the names of the fields `error_<sensor>` and `expected_<sensor>`.
        digest: The bundle's, "sha256:…"; its first digits become the tag.
        measurement: Where to.
        machine_tag: The tag with the machine's id.
        alarm_measurement: Where changes of alarms go to.
    """

    name = "influx"

    def __init__(
        self,
        settings: InfluxSettings,
        sensors: tuple[str, ...],
        digest: str,
        *,
        measurement: str = "anomaly",
        machine_tag: str = "machine_id",
        alarm_measurement: str = "alarms",
    ) -> None:
        self._client = InfluxClient(settings)
        self._sensors = sensors
        self._bundle = digest.removeprefix("sha256:")[:DIGEST_DIGITS]
        self._measurement = measurement
        self._machine_tag = machine_tag
        self._alarm_measurement = alarm_measurement

    def check(self) -> None:
        """Makes sure that the server answers, has the database and lets us write.

        Raises:
            SinkUnavailableError: It cannot be reached, or refuses.
        """
        check_write(self._client)

    def resume(self, position: str | None, waiting: Sequence[bytes] = ()) -> None:
        """A point that comes again replaces itself."""

    def position(self) -> str | None:
        """Not needed."""
        return None

    def encode(self, results: Results) -> bytes:
        """Line protocol, compressed."""
        readings, scores = results.readings, results.scores
        fields = {"score": scores.score, "severity": results.severity, "verdict": VERDICTS[results.verdicts]}
        fields["reason"] = REASONS[results.reasons]
        if results.degraded is not None:
            fields["degraded"] = np.array([*self._sensors, ""])[results.degraded]
        if results.faults is not None:
            from edge_runtime.engine.status import texts_of_rows  # noqa: PLC0415 - for few rows

            texts, codes = texts_of_rows(results.faults, len(readings), self._sensors)
            fields["sensor_status"] = np.array(texts)[codes]
        for i, sensor in enumerate(self._sensors):
            fields[f"error_{sensor}"] = scores.errors[:, i]
            fields[f"expected_{sensor}"] = scores.expected[:, i]
        bundle = np.full(len(readings), self._bundle)
        tags = {self._machine_tag: readings.machines, BUNDLE_TAG: bundle}
        return zlib.compress(encode_lines(self._measurement, readings.times, tags=tags, fields=fields), 1)

    def encode_alarm(self, change: Change) -> bytes:
        """Line protocol, compressed: one line."""
        return zlib.compress(encode_change(change, self._alarm_measurement, self._machine_tag), 1)

    def deliver(self, payloads: Sequence[bytes]) -> int:
        """Posts as many payloads as go into one post, at least one; returns how many the server has then.

        Raises:
            SinkUnavailableError: Try again later.
            RowsRefusedError: The server will never take some rows of the one payload that was given.
            SinkError: It refuses a row of several payloads.
        """
        # There is one copy of the lines, however many payloads they come from.
        lines, packed, count = bytearray(), 0, 0
        most = min(self._client.post_bytes, MAX_TOGETHER)
        for payload in payloads:
            # Where the next one would not fit if it were like those before, it is not unpacked at all.
            if count and len(lines) * (packed + len(payload)) > most * packed:
                break
            more = zlib.decompress(payload)
            if count and len(lines) + len(more) > most:
                break
            lines += more
            packed += len(payload)
            count += 1
        try:
            write(self._client, lines)
        except SinkUnavailableError:
            raise
        except SinkError:
            if len(payloads) > 1:
                raise
            refused, error = refused_lines(self._client, lines)
            if error is not None:
                rows = refused.count(b"\n")
                raise RowsRefusedError(error, zlib.compress(refused, 1), rows) from None
        return count

    def close(self) -> None:
        """Nothing is kept open between posts."""


def results_server(given: Given) -> InfluxSettings:
    """The InfluxDB that results go to.

    Raises:
        UsageError: The settings do not fit together.
    """
    own, shared = given[InfluxSinkSettings], given[InfluxServer]
    database, org, bucket = shared.database, shared.org, shared.bucket
    if own.database or own.bucket:
        database, org, bucket = own.database, own.org or shared.org, own.bucket
    return influx_settings(
        url=own.url or shared.url,
        database=database,
        org=org,
        bucket=bucket,
        username=shared.username,
        token_file=shared.token_file,
        password_file=shared.password_file,
        timeout=shared.timeout,
        tls=given[TlsSettings],
    )


def _make(given: Given, verdicts: Verdicts) -> InfluxSink:
    own = given[InfluxSinkSettings]
    taken = {"score", "severity", "verdict", "reason", "degraded", "sensor_status"}
    taken |= {f"{what}_{sensor}" for what in ("error", "expected") for sensor in verdicts.sensors}
    if own.machine_tag in {"", "time", BUNDLE_TAG} | taken:
        raise UsageError(
            f"'{own.machine_tag}' cannot be the machine's tag", where="[influx_sink] machine_tag"
        )
    if ALARMS in own.takes:
        check_names(own.machine_tag, own.measurement, own.alarm_measurement)
    return InfluxSink(
        results_server(given),
        verdicts.sensors,
        verdicts.digest,
        measurement=own.measurement,
        machine_tag=own.machine_tag,
        alarm_measurement=own.alarm_measurement,
    )


INFLUX = SinkKind(
    name="influx",
    summary="Writes each row, and each change of an alarm, as a point of an InfluxDB, at its own time.",
    guarantee="Exactly once in effect: a point that is written again replaces itself.",
    tables={"influx_sink": InfluxSinkSettings, "influx": InfluxServer, "tls": TlsSettings},
    make=_make,
    max_under_way=MAX_POSTS,
    takes=(ROWS, ALARMS),
    settings=InfluxSinkSettings,
)
