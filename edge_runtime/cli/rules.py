"""`edge-detect rules`: what a plant asks of an anomaly before it is an alarm; who said so, when and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.ledger_options import Config, State, history_of, ledger_of, print_table
from edge_runtime.cli.rule_options import RuleCommand, rule_asked
from edge_runtime.cli.rule_try import LAST, compare
from edge_runtime.errors import LedgerUnavailableError, UsageError, counted, printable

if TYPE_CHECKING:
    from edge_runtime.engine.rules import Rule

__all__ = ["rules"]

rules = typer.Typer(
    help="On-site rules: they narrow which anomalies become alarms, and change no verdict.\n\n"
    "Rules are written as [[rule]] in the configuration, or set here while `run` uses the ledger. What is set"
    " here holds from the next row on, and comes before a rule of the same name in the configuration. Who"
    " said it, when and why is kept for good in `operator/operator.sqlite` beside the ledger.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(help="Name of the rule.")]
By = Annotated[str | None, typer.Option(help="Who says it. The login name unless given.", show_default=False)]
Why = Annotated[str, typer.Option(help="Why. It is kept, and shown with the rule.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


@rules.command(name="list")
def list_rules(*, config: Config = None, state: State = None, as_json: AsJson = False) -> None:
    """List the rules in force, and those that are switched off, as `run` has taken them up."""
    from edge_runtime.cli.rule_words import read_rules, waiting_line, waiting_words
    from edge_runtime.engine.rules import document_of, summary
    from edge_runtime.timeparse import format_time

    path = ledger_of(config, state)
    kept = read_rules(path)
    found = kept.rules.all()
    if as_json:
        import json

        document = {
            "ledger": str(path),
            "rules": [
                {
                    "name": name,
                    "in_force": one.rule is not None,
                    "by": one.by,
                    "at": format_time(one.at),
                    "why": one.why,
                    "rule": None if one.rule is None else document_of(one.rule),
                }
                for name, one in found.items()
            ],
            "unusable": kept.rules.unusable,
            "waiting": len(waiting_words(path, kept)),
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    typer.echo(f"ledger {path}")
    rows = [
        {
            "rule": printable(name),
            "what": "switched off" if one.rule is None else summary(one.rule),
            "by": printable(one.by),
            "since": format_time(one.at - one.at % 10**9),
            "why": printable(" ".join(one.why.split())),
        }
        for name, one in found.items()
    ]
    print_table(rows, "there are no rules")
    for one in kept.rules.in_force():
        if kept.rules.unknown_sensor(one):
            from edge_runtime.gateway.ruling import no_such_sensor

            typer.echo(f"  {printable(one.name)}: {no_such_sensor(one, kept.rules.sensors)}")
    for name, why in kept.rules.unusable.items():
        typer.echo(f"  {printable(name)}: {why}; it is not in force")
    if line := waiting_line(path, kept):
        typer.echo(line)


@rules.command(name="set", cls=RuleCommand)
def set_rule(
    ctx: typer.Context, name: Name, *, why: Why, by: By = None, config: Config = None, state: State = None
) -> None:
    """Set a rule, in place of the one of this name if there is one.

    `edge-detect rules try` with the same options shows first which alarms of the last days it would have
    taken away.
    """
    from edge_runtime.cli.rule_words import say

    say(ledger_of(config, state), by, "rule", name, why, rule_asked(ctx, name, why))


@rules.command()
def off(name: Name, *, why: Why, by: By = None, config: Config = None, state: State = None) -> None:
    """Switch a rule off, also one of the configuration; `set` or `remove` ends that."""
    from edge_runtime.cli.rule_words import say

    say(ledger_of(config, state), by, "rule off", name, why)


@rules.command()
def remove(name: Name, *, why: Why, by: By = None, config: Config = None, state: State = None) -> None:
    """Take back what was said of a rule: one of the configuration holds again as it is written there."""
    from edge_runtime.cli.rule_words import say

    say(ledger_of(config, state), by, "rule removed", name, why)


@rules.command()
def log(*, config: Config = None, state: State = None, as_json: AsJson = False) -> None:
    """Print all that people ever said about rules: when, who, what and why, oldest first."""
    from edge_runtime.cli.rule_words import said_rows

    path = ledger_of(config, state)
    rows = said_rows(path)
    if as_json:
        import json

        typer.echo(json.dumps({"ledger": str(path), "words": rows}, indent=2, ensure_ascii=False))
        return
    shown: list[dict[str, Any]] = [
        {name: printable(" ".join(str(value).split()), 300) for name, value in row.items()} for row in rows
    ]
    print_table(shown, "nobody has said anything about a rule")


@rules.command(name="try", cls=RuleCommand)
def try_rule(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="Name of the rule that is tried, in place of one of that name.")
    ] = None,
    *,
    bundle: Annotated[
        str | None,
        typer.Option(
            help='Bundle that judged the rows, or "default"; that of the configuration unless given.'
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--rules", help="TOML file whose [[rule]] tables are tried in place of all in force."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="Name of a rule in force that is left out; may be repeated.")
    ] = None,
    only: Annotated[
        str | None, typer.Option("--rows-of", metavar="MACHINE", help="Judge this machine's rows alone.")
    ] = None,
    last: Annotated[
        str | None,
        typer.Option(help=f"How much time before the newest row, such as 12h; {LAST} unless given."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Time of the oldest row, such as 2026-01-31T08:00:00Z or -7d.")
    ] = None,
    stop: Annotated[
        str | None, typer.Option(help="Time before which to end; the newest row unless given.")
    ] = None,
    config: Config = None,
    state: State = None,
    as_json: AsJson = False,
) -> None:
    """Judge the rows of the history again, with the rules in force and with those that are tried.

    Printed is how many alarms there are either way, and every alarm that is lost. Nothing is changed.
    """
    from edge_runtime.cli.rule_words import read_rules, waiting_line
    from edge_runtime.engine.rules import summary

    path = ledger_of(config, state)
    kept = read_rules(path)
    before = {one.name: one for one in kept.rules.in_force()}
    after = _tried(before, rule_asked(ctx, name, "it is tried"), file, without or [])
    if not as_json:
        for what, of in (("in force", before), ("tried", after)):
            typer.echo(f"{what}: {counted(len(of), 'rule') if of else 'no rules'}")
            for one in of.values():
                if before.get(one.name) != after.get(one.name):
                    typer.echo(f"  {printable(one.name)}: {summary(one)}")
        try:
            line = waiting_line(path, kept)
        except LedgerUnavailableError as error:  # the rules in force are known all the same
            line = f"  {error}"
        if line is not None:
            typer.echo(line)
    compare(
        history_of(config, state),
        bundle or _bundle_of(config),
        list(before.values()),
        list(after.values()),
        last=last,
        start=start,
        stop=stop,
        machine=only,
        as_json=as_json,
    )


def _bundle_of(config: Path | None) -> str:
    """The bundle of a configuration.

    Raises:
        UsageError: There is no configuration, or it cannot be read.
    """
    if config is None:
        raise UsageError(
            "which bundle has judged the rows?",
            hint="name it with --bundle, or the configuration with --config",
        )
    from edge_runtime.gateway.settings import load_settings

    named = load_settings(config, {}).run.bundle
    return "default" if named is None else str(named)


def _tried(
    before: dict[str, Rule], rule: Rule | None, file: Path | None, without: list[str]
) -> dict[str, Rule]:
    """The rules that are tried, by name.

    Raises:
        UsageError: None is, or one that is to be left out is not in force.
    """
    from edge_runtime.gateway.settings import rules_of

    if rule is None and file is None and not without:
        raise UsageError(
            "no rule is tried", hint="name one and say what it asks, or give --rules FILE or --without NAME"
        )
    after = dict(before) if file is None else {one.name: one for one in rules_of(file)}
    for name in without:
        if after.pop(name, None) is None:
            raise UsageError(f"there is no rule '{printable(name)}' to leave out", where="--without")
    return after if rule is None else {**after, rule.name: rule}
