"""Which database and retention policy InfluxQL reads a bucket of InfluxDB 2 by.

The server lists the mappings of a bucket, newer ones with the virtual mapping that every bucket has by
its name. A mapping is taken from that list alone: a database that merely has the bucket's name may be
mapped to another one.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from edge_runtime.errors import SourceError, SourceUnavailableError
from edge_runtime.influxdb.client import InfluxClient
from edge_runtime.influxdb.refusals import LoginRefusedError

__all__ = ["mapped_client"]


def mapped_client(client: InfluxClient) -> InfluxClient | None:
    """A client that reads the bucket as a database; None where the server names no mapping to this login.

    Raises:
        SourceUnavailableError: The server cannot be reached.
        SourceError: It refuses the login, or is no InfluxDB 2.
    """
    settings = client.settings
    org, bucket = settings.org or "", settings.bucket or ""
    found = _first(client, "/api/v2/buckets", {"org": org, "name": bucket}, "buckets", "id")
    if found is None or found.get("name") != bucket:
        return None
    chosen = {"org": org, "bucketID": found["id"]}
    mapping = _first(client, "/api/v2/dbrps", chosen, "content", "database", "retention_policy")
    if mapping is None or mapping.get("bucketID") != found["id"]:
        return None
    database, policy = mapping["database"], mapping["retention_policy"]
    return InfluxClient(
        replace(
            settings, bucket=None, org=None, database=database, retention_policy=policy, mapped_bucket=bucket
        )
    )


def _first(
    client: InfluxClient, path: str, parameters: dict[str, str], key: str, *texts: str
) -> dict[str, Any] | None:
    """The first of the things that a page of the server's API lists, if it has these texts."""
    try:
        with client.request("GET", path, parameters) as response:
            (first, *_) = json.loads(response.read())[key]
            return first if all(first[name] and isinstance(first[name], str) for name in texts) else None
    except (SourceUnavailableError, LoginRefusedError):
        raise
    except SourceError:
        # InfluxDB 3 says so for every page under /api/v2; a login that may not look leaves Flux.
        if client.is_3:
            raise
        return None
    except (ValueError, KeyError, TypeError):
        return None
