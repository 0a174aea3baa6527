"""Names that a bundle may have, asked before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime.bundle.document import is_visible
from edge_runtime.bundle.names import wrong_sensors, wrong_text
from edge_runtime.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["refuse_machines", "refuse_sensors"]


def refuse_sensors(names: Sequence[str], where: str) -> None:
    """Refuses columns that no bundle can have as sensors.

    Args:
        names: The columns.
        where: What to call the table in the error.

    Raises:
        InputError: There are too many, or one cannot be called so.
    """
    if wrong := wrong_sensors(names):
        name, what, hint = wrong
        also = "" if not name else "; or choose other columns with --sensor"
        raise InputError(f"the sensor {name!r} {what}" if name else what, where=where, hint=hint + also)


def refuse_machines(names: Iterable[str], where: str) -> None:
    """Refuses ids of machines that no bundle can name.

    Args:
        names: The ids.
        where: What to call the table in the error.

    Raises:
        InputError: One holds what cannot be seen, or would be misread.
    """
    for name in names:
        hidden = "contains a character that cannot be seen", "write it with letters, digits, signs and spaces"
        if wrong := wrong_text(name) if is_visible(name) else hidden:
            raise InputError(f"the machine {name!r} {wrong[0]}", where=where, hint=wrong[1])
