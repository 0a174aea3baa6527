"""How many there are of something, in a message."""

from __future__ import annotations

import pytest

from edge_runtime.errors import counted


@pytest.mark.parametrize(
    ("number", "words", "said"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2345, ("row",), "2,345 rows"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
        (1, ("row is", "rows are"), "1 row is"),
    ],
)
def test_one_is_not_several(number: int, words: tuple[str, ...], said: str) -> None:
    assert counted(number, *words) == said
