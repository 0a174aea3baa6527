"""A Flux query of somebody's own, in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from edge_runtime.reading import read_bounded

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_template"]

MAX_QUERY_BYTES = 1 << 20


def read_template(path: Path) -> str:
    """The query, with `{start}` and `{stop}` in it.

    Raises:
        UsageError: The file cannot be read.
    """
    try:
        return read_bounded(path, MAX_QUERY_BYTES)[0].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the query ({error})", where=str(path)) from None
