"""What a rule asks, as options of a command, made from the settings of a `[[rule]]`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from edge_runtime.cli.settings_options import Group, given_options, options_of
from edge_runtime.config import settings_of
from edge_runtime.engine.rules import Rule, rule_of

__all__ = ["RuleCommand", "rule_asked"]


class RuleCommand(TyperCommand):
    """A command with an option for each setting of a rule, but its name and why there is it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *options_of(Group("rule", (), settings_of(Rule)))]


def rule_asked(ctx: Any, name: str | None, why: str) -> Rule | None:
    """The rule that the options of a `RuleCommand` ask for; None where neither name nor option was given.

    Raises:
        UsageError: There can be no such rule.
    """
    given = given_options(ctx).get("rule", {})
    if name is None and not given:
        return None
    return rule_of({"name": name or "", "why": why, **given}, "options")
