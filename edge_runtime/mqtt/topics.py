"""Topics to publish on: templates, into which values are put so that no two of them share a topic."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LONGEST_TOPIC", "TopicTemplate", "escaped", "is_topic"]

LONGEST_TOPIC = 65_535  # bytes, as MQTT has it
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
# What no topic may have in it: control codes, halves of letters, and what Unicode says is no letter at all.
# MQTT leaves it to the broker whether it hangs up on them, and Mosquitto does.
PLANES = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
UNFIT = f"\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\ufdd0-\\ufdef{PLANES}"
UNFIT_IN_TOPIC = re.compile(f"[{UNFIT}]")
# Of a value also what divides levels, what stands for any level, and what begins a broker's own topics.
UNFIT_IN_VALUE = re.compile(f"[%/+#${UNFIT}]")
EMPTY = "_"


def escaped(value: str) -> str:
    """A value as a part of one level; no two values are the same there, and none is empty."""
    if value in ("", EMPTY):
        return _percent(value) or EMPTY
    return UNFIT_IN_VALUE.sub(lambda found: _percent(found.group()), value)


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


def is_topic(topic: str) -> bool:
    """Whether a message may be published there."""
    if not topic or "+" in topic or "#" in topic or UNFIT_IN_TOPIC.search(topic):
        return False
    return len(topic.encode()) <= LONGEST_TOPIC


class TopicTemplate:
    """A topic with placeholders such as "{machine_id}".

    Each level has one of them at most. Therefore two sets of values never give the same topic.

    Args:
        template: As it was written.
        names: Placeholders that it may have.
        where: The setting, for messages.
        needs: Placeholders that it must have.
        known: Values of placeholders that are known already.

    Raises:
        UsageError: It is no such topic.
    """

    def __init__(
        self,
        template: str,
        names: Sequence[str],
        *,
        where: str,
        needs: Sequence[str] = (),
        known: Mapping[str, str] | None = None,
    ) -> None:
        known = known or {}
        _check(template, (*names, *known), where)
        for name in needs:
            if f"{{{name}}}" not in template:
                raise UsageError(
                    f"'{template}' is the same topic for every {name}",
                    where=where,
                    hint=f"put {{{name}}} into it",
                )
        # Of each level its text; or the text before the placeholder, its name, and the text after it.
        self._levels = [_parts(level, known) for level in template.split("/")]
        if max(map(len, self._levels)) > 3:  # noqa: PLR2004 - as it says above
            raise UsageError(
                f"'{template}' has two placeholders in one level", where=where, hint="put a / between them"
            )

    def of(self, **values: str) -> str:
        """The topic with these values in it."""
        return "/".join(
            f"{level[0]}{escaped(values[level[1]])}{level[2]}" if len(level) > 1 else level[0]
            for level in self._levels
        )

    def may_meet(self, other: TopicTemplate) -> bool:
        """Whether there are values, of both, that give the same topic."""
        same_depth = len(self._levels) == len(other._levels)
        return same_depth and all(map(_may_be_same, self._levels, other._levels))


def _parts(level: str, known: Mapping[str, str]) -> list[str]:
    """Text, placeholder, text, placeholder, …, text; of what is known, the value is text."""
    parts = [""]
    for place, part in enumerate(PLACEHOLDER.split(level)):
        if place % 2 and part not in known:
            parts += [part, ""]
        else:
            parts[-1] += escaped(known[part]) if place % 2 else part
    return parts


def _may_be_same(one: list[str], other: list[str]) -> bool:
    if len(one) == len(other) == 1:
        return one == other
    head, tail, other_head, other_tail = one[0], one[-1], other[0], other[-1]
    return (head.startswith(other_head) or other_head.startswith(head)) and (
        tail.endswith(other_tail) or other_tail.endswith(tail)
    )


def _check(template: str, names: Sequence[str], where: str) -> None:
    """Raises `UsageError` unless it is a topic, with none but these placeholders."""
    allowed = ", ".join(f"{{{name}}}" for name in names)
    text = PLACEHOLDER.sub("", template)
    unknown = [name for name in PLACEHOLDER.findall(template) if name not in names]
    wrong, hint = "", f"write for instance plant/{allowed.replace(', ', '/')}"
    if unknown:
        wrong, hint = f"there is no placeholder {{{unknown[0]}}} for it", f"there are: {allowed}"
    elif "{" in text or "}" in text:
        wrong, hint = "it has a brace that belongs to no placeholder", f"there are: {allowed}"
    elif "+" in text or "#" in text:
        wrong, hint = "+ and # are for those who subscribe", "name the topic itself"
    elif template.startswith("$"):
        wrong, hint = "topics that begin with $ are the broker's own", "begin it with another letter"
    elif UNFIT_IN_TOPIC.search(text):
        wrong, hint = "it has a control code in it, or half a letter", "write it in letters"
    elif len(template.encode("utf-8", "surrogatepass")) > LONGEST_TOPIC:
        wrong = "it is longer than 65,535 bytes"
    if wrong or not template:
        what = f"'{printable(template, 100)}' is no topic to publish on" if template else "an empty topic"
        raise UsageError(f"{what}: {wrong}" if wrong else what, where=where, hint=hint)
