"""What a person's word about an alarm or a rule may be: as it is said, and as the operator file has it."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from edge_runtime.engine.alarms import CONTROL, CONTROL_IN_TEXT, KINDS, RULE, SENSOR, Word
from edge_runtime.errors import UsageError
from edge_runtime.mapping.cells import MAX_MACHINE_LETTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_runtime.engine.rules import Rule

__all__ = ["COLUMNS", "MAX_NAME_LETTERS", "MAX_TEXT_LETTERS", "rule_in", "word_of", "wrong_word"]

COLUMNS = tuple(field.name for field in fields(Word))
OF_ALARM = ("ack", "comment", "reset")
WORDS = (*OF_ALARM, "shelve", "unshelve", "out of service", "in service")
RULE_WORDS = ("rule", "rule off", "rule removed")
MAX_NAME_LETTERS, MAX_TEXT_LETTERS = 100, 2000
EVENT_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
MOMENT = 2**63


def word_of(values: Sequence[Any]) -> Word:
    """A word as it was stored.

    Args:
        values: In the order of `COLUMNS`.

    Raises:
        ValueError: It is none that could be taken up.
    """
    word = Word(*values)
    wrong = wrong_word(word)
    if wrong is not None:
        raise ValueError(f"{wrong[0]}: {wrong[1]}")
    return word


def wrong_word(word: Word) -> tuple[str, str] | None:
    """Which part of a word is wrong, and why; None for one that can be taken up.

    What a rule asks is not looked at: `rule_in` does that.
    """
    if word.word not in (RULE_WORDS if word.kind == RULE else WORDS):
        return "word", f"there is no word '{word.word}'"
    if not _is_moment(word.at):
        return "at", "it is no time"
    if word.kind == RULE:
        return _wrong_rule(word) or _wrong_text(word)
    return _wrong_kind(word) or _wrong_names(word) or _wrong_alarm(word) or _wrong_text(word)


def _wrong_kind(word: Word) -> tuple[str, str] | None:
    if word.kind not in KINDS:
        return "kind", f"there is no kind '{word.kind}'"
    if (word.kind == SENSOR) != bool(word.subject):
        return "sensor", "a sensor's alarm names its sensor, and a machine's none"
    return None if word.rule is None else ("rule", "it is about no rule")


def rule_in(word: Word) -> Rule | None:
    """The rule of a word that sets one; None of any other word.

    Raises:
        UsageError: There is none in it.
    """
    if word.rule is None:
        return None
    from edge_runtime.engine.rules import rule_of  # noqa: PLC0415 - where there are rules

    try:
        found = json.loads(word.rule)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError("it is no rule", where="rule")
    return rule_of({**found, "name": word.subject, "why": word.text}, "rule")


def _wrong_rule(word: Word) -> tuple[str, str] | None:
    if word.machine_id or (word.event_id, word.revision, word.until) != (None, None, None):
        return "word", "a word about a rule names the rule alone"
    if (word.word == "rule") != isinstance(word.rule, str):
        return "rule", "a word that sets a rule, and no other, says what it asks"
    if word.text is None:
        return "why", "it is missing"
    return _wrong_name("name", word.subject, MAX_NAME_LETTERS) or _wrong_name("by", word.by, MAX_NAME_LETTERS)


def _wrong_names(word: Word) -> tuple[str, str] | None:
    for name, value, most in (
        ("machine", word.machine_id, MAX_MACHINE_LETTERS),
        ("sensor", word.subject or "-", MAX_MACHINE_LETTERS),
        ("by", word.by, MAX_NAME_LETTERS),
    ):
        if (wrong := _wrong_name(name, value, most)) is not None:
            return wrong
    return None


def _wrong_name(name: str, value: Any, most: int) -> tuple[str, str] | None:
    if not isinstance(value, str) or not value.strip():
        return name, "a name is missing"
    if len(value) > most:
        return name, f"it is longer than {most} letters"
    return (name, "it has a control character in it") if CONTROL.search(value) else None


def _wrong_alarm(word: Word) -> tuple[str, str] | None:
    of_alarm = word.word in OF_ALARM
    if of_alarm != (isinstance(word.event_id, str) and EVENT_ID.fullmatch(word.event_id) is not None):
        return "id", "an alarm's id has 16 hexadecimal digits" if of_alarm else "it is not about one alarm"
    if (word.word == "ack") != _is_moment(word.revision):
        return "revision", "an acknowledgement, and nothing else, has a revision"
    if word.word != "shelve":
        return None if word.until is None else ("until", "only a shelving has an end")
    if not _is_moment(word.until) or (word.until or 0) <= word.at:
        return "until", "a shelving needs an end after its beginning"
    return None


def _wrong_text(word: Word) -> tuple[str, str] | None:
    of_reason = word.word in ("shelve", "out of service", "in service")
    name = "comment" if word.word in OF_ALARM else "why" if word.kind == RULE else "reason"
    if word.text is None:
        return (name, "it is missing") if of_reason or word.word == "comment" else None
    if not isinstance(word.text, str) or not word.text.strip():
        return name, "it is empty"
    if len(word.text) > MAX_TEXT_LETTERS:
        return name, f"it is longer than {MAX_TEXT_LETTERS:,} letters"
    return (name, "it has a control character in it") if CONTROL_IN_TEXT.search(word.text) else None


def _is_moment(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOMENT
