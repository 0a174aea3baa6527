"""Options of commands that read a text: how it is written, made from the table `[map]`."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from edge_runtime.cli.settings_options import Group, given_options, options_of
from edge_runtime.config import fill, settings_of, value_of
from edge_runtime.mapping.form import Form

__all__ = ["FormCommand", "form_of", "form_words"]


class FormCommand(TyperCommand):
    """A command with an option for each setting of `[map]`: how a text is written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *options_of(Group("map", (), settings_of(Form)))]


def form_of(ctx: Any) -> Form:
    """How a text is written, by the options of a `FormCommand`.

    Raises:
        UsageError: An option's value is none.
    """
    return fill(Form, given_options(ctx).get("map", {}), "map", "options")


def form_words(form: Form) -> list[str]:
    """The options of a `FormCommand` that give this form."""
    words: list[str] = []
    for one in settings_of(Form):
        value = value_of(form, one.name)
        if value != one.default:
            words += [word for each in (value if one.many else [value]) for word in (one.flag, str(each))]
    return words
