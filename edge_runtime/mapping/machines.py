"""Cells to machine ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from edge_runtime.errors import InputError, printable
from edge_runtime.mapping.place import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edge_runtime.mapping.place import Place

__all__ = ["MAX_MACHINE_LETTERS", "check_machine", "codes"]

MAX_MACHINE_LETTERS = 256
# A NUL would be lost at the end of a name, and two machines become one; others would reach a terminal.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_machine(name: str) -> None:
    """Makes sure that this can be a machine's id.

    Raises:
        InputError: It is longer than `MAX_MACHINE_LETTERS`, or has a control character in it.
    """
    if len(name) > MAX_MACHINE_LETTERS:
        raise InputError(f"the machine id '{printable(name)}' is longer than {MAX_MACHINE_LETTERS} letters")
    if CONTROL.search(name):
        raise InputError(f"the machine id '{printable(name)}' has a control character in it")


def codes(cells: Sequence[bytes], default: str, place: Place) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    """Machine ids, each once, and each row's place among them; an empty cell is the default.

    Raises:
        InputError: A name is not UTF-8, or `check_machine` refuses it; its line is named.
    """
    names: dict[str, int] = {}
    code_of: dict[bytes, int] = {}
    for cell in dict.fromkeys(cells):
        try:
            name = cell.decode().strip() or default
            check_machine(name)
        except UnicodeDecodeError:
            where = place.row(cells.index(cell))
            raise InputError(f"the machine id '{shown(cell)}' is not UTF-8", where=where) from None
        except InputError as error:
            raise InputError(error.what, where=place.row(cells.index(cell))) from None
        code_of[cell] = names.setdefault(name, len(names))
    return tuple(names), np.fromiter(map(code_of.__getitem__, cells), np.intp, len(cells))
