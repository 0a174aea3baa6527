"""Saying something about a rule: it goes to the operator file, and `run` takes it up within a second."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from edge_runtime.cli.alarm_words import login_name, wait_until_taken, words_after
from edge_runtime.delivery.keptrules import RulesKept, kept_rules
from edge_runtime.delivery.openalarms import kept_mark
from edge_runtime.delivery.operator import OperatorFile, feed_of, operator_file
from edge_runtime.delivery.words import rule_in
from edge_runtime.engine.alarms import RULE, Word
from edge_runtime.engine.rules import document_of, summary
from edge_runtime.errors import UsageError, counted, printable
from edge_runtime.timeparse import format_time

if TYPE_CHECKING:
    from pathlib import Path

    from edge_runtime.engine.rules import Rule

__all__ = ["KeptNow", "read_rules", "said_rows", "say", "waiting_line", "waiting_words"]


# A word, and the command that says it.
SAID = {"rule": "set", "rule off": "off", "rule removed": "remove"}


class KeptNow(NamedTuple):
    """What a ledger says now.

    Attributes:
        rules: About rules.
        mark: Of the last of people's words that was taken up; None for none.
    """

    rules: RulesKept
    mark: str | None


def read_rules(path: Path) -> KeptNow:
    """What a ledger says about rules, while `run` may use it.

    Raises:
        LedgerError: It cannot be read.
    """
    from edge_runtime.cli.ledger_options import reading_ledger

    with reading_ledger(path) as db:
        return KeptNow(kept_rules(db), kept_mark(db))


def waiting_words(path: Path, kept: KeptNow) -> list[Word]:
    """Words about rules that `run` has not taken up.

    Raises:
        LedgerUnavailableError: The operator file cannot be read.
    """
    found = words_after(OperatorFile(operator_file(path)), kept.mark, feed_of(path))
    return [word for word in found if word.kind == RULE]


def waiting_line(path: Path, kept: KeptNow) -> str | None:
    """How many such words there are, for a person who reads what is in force; None for none.

    Raises:
        LedgerUnavailableError: The operator file cannot be read.
    """
    waiting = len(waiting_words(path, kept))
    if not waiting:
        return None
    return f"  {counted(waiting, 'word waits', 'words wait')} for run to take up, and may change this"


def say(path: Path, by: str | None, word: str, name: str, why: str, rule: Rule | None = None) -> None:
    """Says a word about a rule, waits until it is taken up, and prints what holds then.

    Args:
        path: The ledger's file.
        by: Who says it; None for the login name.
        word: As in `engine.alarms.Word`.
        name: The rule's.
        why: Why.
        rule: Of "rule": what it asks.

    Raises:
        UsageError: It would change nothing, or cannot be said.
        LedgerError, LedgerUnavailableError: The ledger or the operator file cannot be used.
    """
    by = login_name() if by is None else by
    kept = read_rules(path)
    document = None
    if rule is not None:
        about = document_of(rule)
        asks = {key: value for key, value in about.items() if key not in ("name", "why")}
        document = json.dumps(asks, ensure_ascii=False)
        _check_sensor(kept.rules, rule)
    waiting = waiting_words(path, kept)
    for earlier in waiting:
        kept.rules.tell(earlier)
    at = time.time_ns()
    refused = kept.rules.tell(Word(0, at, by, word, "", RULE, name, text=why, rule=document))
    if refused is not None:
        hint = "`edge-detect rules list` shows what there is"
        if waiting:
            hint += f"; run has still to take up {counted(len(waiting), 'word')} from before"
        raise UsageError(f"rule {printable(name)}: {refused}", hint=hint)
    file = OperatorFile(operator_file(path))
    said = file.say(
        feed=feed_of(path),
        at=at,
        by=by,
        word=word,
        machine_id="",
        kind=RULE,
        subject=name,
        text=why,
        rule=document,
    )
    taken = wait_until_taken(path, file.identity(), said, time.monotonic, time.sleep)
    if taken.why_not is not None:
        typer.echo(f"rule {printable(name)}: what {printable(by)} said is kept; {taken.why_not}")
        return
    now = read_rules(path).rules
    one = now.all().get(name)
    if name in now.unusable:
        raise UsageError(
            f"rule {printable(name)} is kept, but run cannot follow it: {now.unusable[name]}",
            hint="it is in force once run can; `edge-detect rules remove` takes it back",
        )
    if one is None:
        typer.echo(f"rule {printable(name)} is removed")
    elif one.rule is None:
        typer.echo(f"rule {printable(name)} is switched off by {printable(one.by)}")
    else:
        typer.echo(f"rule {printable(name)} of {printable(one.by)} is in force: {summary(one.rule)}")


def said_rows(path: Path) -> list[dict[str, Any]]:
    """All that was ever said about rules of this ledger's feed, oldest first.

    Raises:
        LedgerUnavailableError: The operator file cannot be read.
    """
    words = words_after(OperatorFile(operator_file(path)), None, feed_of(path))
    return [
        {
            "time": format_time(word.at - word.at % 10**9),
            "by": word.by,
            "word": SAID[word.word],
            "rule": word.subject,
            "what": "" if word.rule is None else _what(word),
            "why": word.text,
        }
        for word in words
        if word.kind == RULE
    ]


def _what(word: Word) -> str:
    """What a word asks for, as a person reads it; as it is stored where this machine cannot follow it."""
    try:
        rule = rule_in(word)
    except UsageError:
        rule = None
    return summary(rule) if rule is not None else word.rule or ""


def _check_sensor(kept: RulesKept, rule: Rule) -> None:
    """Refuses a sensor that the bundle does not have.

    Raises:
        UsageError: It has none of this name.
    """
    if kept.unknown_sensor(rule):
        from edge_runtime.config import nearest

        raise UsageError(
            f"the bundle has no sensor '{printable(rule.sensor or '')}'",
            where="--sensor",
            hint=nearest(rule.sensor or "", kept.sensors),
        )
