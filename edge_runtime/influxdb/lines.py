"""Line protocol, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["encode_lines"]

# The format has no way to write a line's end in a name, and 3 Core none to write a tab: they become spaces.
_MEASUREMENT = str.maketrans({",": "\\,", **dict.fromkeys(" \t\n\r", "\\ ")})
_KEY = _MEASUREMENT | str.maketrans({"=": "\\="})
_TEXT = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": " ", "\r": " "})


def encode_lines(
    measurement: str,
    times: NDArray[np.int64],
    *,
    tags: Mapping[str, Sequence[str] | NDArray[np.str_]],
    fields: Mapping[str, NDArray[Any]],
) -> bytes:
    """Rows as line protocol, one line each with its nanoseconds.

    Args:
        measurement: Its name.
        times: [rows] nanoseconds since the epoch.
        tags: Name to [rows] of text; an empty one is left out.
        fields: Name to [rows] of floats (those not finite are left out), whole numbers, booleans or text (an
            empty one is left out). A row that has no field left gives no line.

    Raises:
        UsageError: The format cannot write the measurement's name.
    """
    parts = [_tag(name, values) for name, values in sorted(tags.items())]
    head = _name(measurement, _MEASUREMENT)
    if not head or head.startswith("#"):  # a line that begins so is a comment
        raise UsageError(f"'{measurement}' cannot be the name of a measurement", hint="choose another one")
    series = [head + "".join(row) for row in zip(*parts, strict=True)] if parts else [head] * len(times)
    columns = [_field(name, np.asarray(values)) for name, values in fields.items()]
    lines = [
        f"{name} {','.join(filter(None, row))} {time}\n"
        for name, time, row in zip(series, times.tolist(), zip(*columns, strict=True), strict=True)
        if any(row)
    ]
    return "".join(lines).encode(errors="replace")  # half of a letter, which UTF-8 does not have


def _name(text: str, escapes: dict[int, str]) -> str:
    """A name or a tag's value. The format has no way to write a backslash at the end of one."""
    return text.rstrip("\\").translate(escapes)


def _tag(name: str, values: Sequence[str] | NDArray[np.str_]) -> list[str]:
    key = _name(name, _KEY)
    encoded: dict[str, str] = {}
    for value in map(str, values):
        if value not in encoded:
            body = _name(value, _KEY)
            encoded[value] = f",{key}={body}" if body else ""
    return [encoded[str(value)] for value in values]


def _field(name: str, values: NDArray[Any]) -> list[str]:
    key = _name(name, _KEY)
    if values.dtype.kind == "f":
        finite = np.isfinite(values).tolist()
        # The shortest decimal that gives this very number back, of its own precision.
        return [f"{key}={value!s}" if ok else "" for value, ok in zip(values, finite, strict=True)]
    if values.dtype.kind in "iu":
        return [f"{key}={value}i" for value in values.tolist()]
    if values.dtype.kind == "b":
        return [f"{key}={'true' if value else 'false'}" for value in values.tolist()]
    return [f'{key}="{value.translate(_TEXT)}"' if value else "" for value in map(str, values.tolist())]
