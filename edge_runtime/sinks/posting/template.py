"""The body of a webhook's post: JSON that a person wrote, with places for what is known of a change.

Values are put into the parsed document, never into its text, so that nothing has to be escaped, and no name
or comment can make anything else of the document than a person wrote.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from edge_runtime.config import nearest
from edge_runtime.engine.alarmtext import sentence, title
from edge_runtime.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_runtime.engine.alarms import Change

__all__ = ["FIELDS", "Template", "values_of"]

# Those of `Change.to_dict`, in its order, and two for people.
FIELDS = (
    *(
        "time",
        "change",
        "event_id",
        "revision",
        "machine_id",
        "kind",
        "subject",
        "active",
        "acked",
        "priority",
    ),
    *("severity", "raised", "returned", "acknowledged", "acknowledged_by", "comment", "shelved_until"),
    *("out_of_service", "sensors", "rows", "bundle", "text", "title"),
)
PIECE = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
WHERE = "[webhook] body"

# A text with its places: what stands there as it is, and the names of fields in tuples of one.
Pieces = list["str | tuple[str]"]


def values_of(change: Change) -> dict[str, Any]:
    """The fields that a template may name."""
    return {**change.to_dict(), "text": sentence(change), "title": title(change)}


class Template:
    """A document with places for the fields of a change.

    In its texts, `{field}` is replaced by that field, and `{{` and `}}` are braces. A text that is nothing
    but one `{field}` becomes that field's value itself, such as a number or a list. Within a longer text, a
    value that is not known is empty, and what is no text is written as JSON. Names in objects stay as they
    are.

    Args:
        text: The document, as JSON.

    Raises:
        UsageError: It is none, or a place names no field.
    """

    def __init__(self, text: str) -> None:
        try:
            document = json.loads(text, parse_constant=_refuse_constant)
            self._made = _compiled(document, "")
        except RecursionError:
            raise UsageError("not JSON that can be read (nested too deeply)", where=WHERE) from None
        except json.JSONDecodeError as error:
            raise UsageError(
                f"not JSON ({error.msg})",
                where=f"{WHERE}, line {error.lineno}, column {error.colno}",
                hint='such as: {"text": "{text}"}',
            ) from None
        except ValueError as error:
            raise UsageError(f"not JSON ({error})", where=WHERE) from None

    def filled(self, values: Mapping[str, Any]) -> Any:
        """The document with these fields in its places."""
        return _filled(self._made, values)


class _Text:
    """A text with at least one place, or with braces."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces

    def filled(self, values: Mapping[str, Any]) -> Any:
        if len(self.pieces) == 1 and isinstance(self.pieces[0], tuple):
            return values[self.pieces[0][0]]
        return "".join(one if isinstance(one, str) else _as_text(values[one[0]]) for one in self.pieces)


def _compiled(document: Any, place: str) -> Any:
    if isinstance(document, dict):
        return {key: _compiled(value, f"{place}.{key}") for key, value in document.items()}
    if isinstance(document, list):
        return [_compiled(value, f"{place}[{number}]") for number, value in enumerate(document)]
    if not isinstance(document, str) or not ("{" in document or "}" in document):
        return document
    return _Text(list(_pieces(document, f"{WHERE}, at {printable(place or '.')}")))


def _pieces(text: str, where: str) -> Sequence[str | tuple[str]]:
    pieces: Pieces = []
    begin = 0
    for found in PIECE.finditer(text):
        if found.start() > begin:
            pieces.append(text[begin : found.start()])
        begin, piece = found.end(), found[0]
        if piece in ("{{", "}}"):
            pieces.append(piece[0])
            continue
        if len(piece) == 1:
            raise UsageError(f"a single {piece}", where=where, hint=f"write {piece * 2} for a brace")
        name = piece[1:-1].strip()
        if name not in FIELDS:
            raise UsageError(f"there is no field '{printable(name)}'", where=where, hint=_hint(name))
        pieces.append((name,))
    if begin < len(text):
        pieces.append(text[begin:])
    return pieces


def _hint(name: str) -> str:
    near = nearest(name, FIELDS)
    known = f"there are: {', '.join(FIELDS)}"
    return near if near == known else f"{near}; {known}"


def _filled(made: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(made, dict):
        return {key: _filled(value, values) for key, value in made.items()}
    if isinstance(made, list):
        return [_filled(value, values) for value in made]
    return made.filled(values) if isinstance(made, _Text) else made


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"there is no {name}")
