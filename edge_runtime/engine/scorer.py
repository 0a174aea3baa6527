"""The name that the engine had before it checked times and readings, for programs that were written then."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from edge_runtime.engine.engine import Engine

if TYPE_CHECKING:
    from edge_runtime.loading.load import Bundle
    from edge_runtime.records import Readings, Results

__all__ = ["Scorer"]


class Scorer:
    """Use `Engine`: this is one, and gives the same verdicts.

    Args:
        bundle: As `load_bundle` returned it.
    """

    def __init__(self, bundle: Bundle) -> None:
        warnings.warn(
            "Scorer is called Engine now: Engine(bundle).feed(readings).results",
            DeprecationWarning,
            stacklevel=2,
        )
        self._engine = Engine(bundle)

    def score(self, readings: Readings) -> Results:
        """What the engine found about a block."""
        return self._engine.feed(readings).results
