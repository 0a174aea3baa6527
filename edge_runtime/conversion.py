"""Readings, times and machine ids as programs have them, to the arrays that the runtime works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["machine_name", "nanoseconds", "numbers"]


def numbers(values: ArrayLike, what: str = "the readings") -> NDArray[np.float32]:
    """Readings as float32; None and what is masked are NaN, and what float32 cannot hold is infinite.

    Raises:
        InputError: Not all are numbers.
    """
    try:
        if isinstance(values, np.ma.MaskedArray):
            values = np.ma.filled(values.astype(np.float64), np.nan)
        found = np.asarray(values)
        if found.dtype == np.float32:
            return found
        # Texts and times are not to be made numbers, nor texts among objects.
        text = found.dtype.kind == "O" and any(isinstance(value, str | bytes) for value in found.flat)
        with np.errstate(over="ignore"):
            casting: Any = "unsafe" if found.dtype.kind == "O" and not text else "same_kind"
            return found.astype(np.float32, casting=casting)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"{what}: not all are numbers ({error})", hint="give NaN or None where a reading is missing"
        ) from None


def machine_name(name: Any) -> str:
    """A machine's id as text: of a text, of UTF-8 bytes or of a whole number.

    Raises:
        InputError: It is something else.
    """
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    if isinstance(name, str | int | np.integer) and not isinstance(name, bool):
        return str(name)
    raise InputError(f"{name!r:.60} is not a machine's id")


def nanoseconds(times: ArrayLike) -> NDArray[np.int64]:
    """Nanoseconds since the epoch of whole numbers or `datetime64` of any unit.

    Raises:
        InputError: They are something else, or a time is outside what int64 nanoseconds hold.
    """
    found = np.asarray(times)
    if found.ndim != 1:
        raise InputError(f"times of the shape {found.shape}, and not one for each row")
    if found.dtype == np.int64:
        return found
    if found.dtype.kind == "M":
        fine = found.astype("datetime64[ns]")
        if not (fine.astype(found.dtype) == found).all():  # not a time is not like itself
            raise InputError("a time is missing, or outside the years 1677 to 2262")
        return fine.astype(np.int64)
    if found.size and (found.dtype.kind not in "iu" or found.max() > np.iinfo(np.int64).max):
        raise InputError(f"times are nanoseconds as whole numbers, or datetime64, not {found.dtype}")
    return found.astype(np.int64)
