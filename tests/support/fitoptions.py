"""What the command `edge-train fit` makes of its options, without training."""

from __future__ import annotations

from typing import Any

import typer.main

from trainer.cli import app
from trainer.cli.model_options import model_settings
from trainer.cli.training_options import training_settings
from trainer.fitting.recipes import RECIPES, own_recipe
from trainer.fitting.settings import Settings

__all__ = ["as_fit_reads", "fit_parameters"]


def _command() -> Any:
    return typer.main.get_command(app).commands["fit"]  # type: ignore[attr-defined]


def fit_parameters() -> list[Any]:
    """The options of `fit`, as click has them."""
    return list(_command().params)


def as_fit_reads(*words: str) -> Settings:
    """The settings of these words, and of the recipe that belongs to their model."""
    context = _command().make_context("fit", ["--data", "data", *words])
    model = context.params["model"]
    recipe = RECIPES[own_recipe(model)]
    chosen = model_settings(context)
    return Settings(**{**training_settings(context), **recipe.beside(chosen), **chosen})
