"""Simulated rows into an InfluxDB: measurement `sensors`, and `events` with what was injected."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.influxdb import encode_lines, write
from edge_runtime.simulation import SENSORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.influxdb import InfluxClient
    from edge_runtime.simulation import Event
    from trainer.data.rows import LabelledRows

__all__ = ["InfluxTarget"]


class InfluxTarget:
    """Writes rows as points; one block is under way while the next is made.

    Args:
        client: Where to.
        measurement: For the rows; the machine is the tag `machine_id`.
        events_measurement: For the events: time = start, fields `stop` and `onset` (ns), `kind`, `sensors`.
    """

    def __init__(
        self, client: InfluxClient, measurement: str = "sensors", events_measurement: str = "events"
    ) -> None:
        self._client = client
        self._measurement = measurement
        self._events_measurement = events_measurement
        self._sender = ThreadPoolExecutor(1)
        self._under_way: Future[None] | None = None

    def rows(self, rows: LabelledRows) -> None:
        """Hands rows to the sender when it has done with the ones before.

        Raises:
            SinkError: The server refused the rows before these, or could not be reached.
        """
        fields = {name: rows.values[:, i] for i, name in enumerate(SENSORS)}
        self._send(
            encode_lines(self._measurement, rows.times, tags={"machine_id": rows.machines}, fields=fields)
        )

    def events(self, events: Sequence[Event]) -> None:
        """Hands events to the sender."""
        if not events:
            return
        lines = encode_lines(
            self._events_measurement,
            np.array([event.start_ns for event in events], np.int64),
            tags={"machine_id": [event.machine for event in events]},
            fields={
                "stop": np.array([event.stop_ns for event in events], np.int64),
                "onset": np.array([event.onset_ns for event in events], np.int64),
                "kind": np.array([event.kind.name for event in events]),
                "sensors": np.array([" ".join(event.sensors) for event in events]),
            },
        )
        self._send(lines)

    def flush(self) -> None:
        """Waits until the server has everything."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None

    def _send(self, lines: bytes) -> None:
        self.flush()
        self._under_way = self._sender.submit(write, self._client, lines)
