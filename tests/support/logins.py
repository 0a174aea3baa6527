"""Users of a real InfluxDB."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_runtime.errors import SourceError
from edge_runtime.influxdb import query

if TYPE_CHECKING:
    from edge_runtime.influxdb import InfluxClient

__all__ = ["until_known"]


def until_known(client: InfluxClient) -> InfluxClient:
    """The client, once its user is known: InfluxDB 1.6 answers that one is made a moment before it is."""
    for _ in range(200):
        with suppress(SourceError):
            list(query(client, "SHOW DATABASES"))
            return client
        time.sleep(0.05)
    raise AssertionError("InfluxDB does not know the user that it made")
