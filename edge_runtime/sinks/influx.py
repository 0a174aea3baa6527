"""Results into an InfluxDB.

Delivery: at least once, and exactly once in effect: a point is identified by measurement, tags and time, so
one that comes again replaces itself.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.lines import encode_lines
from edge_runtime.influxdb.write import check_write, write
from edge_runtime.records import Reason, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.influxdb.settings import InfluxSettings
    from edge_runtime.records import Results

__all__ = ["InfluxSink"]

VERDICTS = np.array([verdict.label for verdict in Verdict])
REASONS = np.array([reason.label for reason in Reason])
DIGEST_DIGITS = 12


class InfluxSink:
    """Writes one point a row: tags machine and bundle; fields score, severity, verdict, and per sensor.

    Args:
        settings: Which server.
        sensors: The bundle's, for the names of the fields `error_<sensor>` and `expected_<sensor>`.
        digest: The bundle's, "sha256:…"; its first digits become the tag.
        measurement: Where to.
    """

    name = "influx"

    def __init__(
        self, settings: InfluxSettings, sensors: tuple[str, ...], digest: str, *, measurement: str = "anomaly"
    ) -> None:
        self._client = InfluxClient(settings)
        self._sensors = sensors
        self._bundle = digest.removeprefix("sha256:")[:DIGEST_DIGITS]
        self._measurement = measurement

    def check(self) -> None:
        """Makes sure that the server answers, has the database and lets us write.

        Raises:
            SinkUnavailableError: It cannot be reached, or refuses.
        """
        check_write(self._client)

    def resume(self, position: str | None) -> None:
        """A point that comes again replaces itself."""

    def position(self) -> str | None:
        """Not needed."""
        return None

    def encode(self, results: Results) -> bytes:
        """Line protocol, compressed."""
        readings, scores = results.readings, results.scores
        fields = {"score": scores.score, "severity": results.severity, "verdict": VERDICTS[results.verdicts]}
        fields["reason"] = REASONS[results.reasons]
        for i, sensor in enumerate(self._sensors):
            fields[f"error_{sensor}"] = scores.errors[:, i]
            fields[f"expected_{sensor}"] = scores.expected[:, i]
        bundle = np.full(len(readings), self._bundle)
        tags = {"machine": readings.machines, "bundle": bundle}
        return zlib.compress(encode_lines(self._measurement, readings.times, tags=tags, fields=fields), 1)

    def deliver(self, payloads: Sequence[bytes]) -> None:
        """Posts payloads; returns when the server has them.

        Raises:
            SinkUnavailableError: Try again later.
            SinkError: The server will never take these lines.
        """
        write(self._client, b"".join(map(zlib.decompress, payloads)))

    def close(self) -> None:
        """Nothing is kept open between posts."""
