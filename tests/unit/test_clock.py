"""The gateway's clock: believed unless something that is past lies after it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.gateway.clock import GatewayClock, known_moments
from edge_runtime.loading.load import load_bundle

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 10**9
# What the bundle of the tests says of its training: 2026-01-02T00:00:00Z.
TRAINED = 1_767_312_000 * SECOND


def test_a_clock_is_believed_from_the_last_moment_that_is_past_on(bundle: Path) -> None:
    now, said = [12 * SECOND], list[str]()
    clock = GatewayClock(known_moments(load_bundle(bundle)), said.append, lambda: now[0])
    assert [clock(), clock()] == [None, None]
    assert len(said) == 1
    assert said[0].startswith(
        "clock: 1970-01-01T00:00:12Z is earlier than 2026-01-02T00:00:00Z, when the bundle's training data"
    )
    now[0] = TRAINED
    assert [clock(), clock()] == [TRAINED, TRAINED]
    assert said[1:] == ["clock: 2026-01-02T00:00:00Z is plausible; rows from the future are recognised again"]


def test_ten_live_rows_in_a_row_outvote_what_is_known() -> None:
    # The ledger was written while the clock was ten years ahead.
    said, now = list[str](), TRAINED
    clock = GatewayClock(
        {"the ledger was written": now + 10 * 366 * 86_400 * SECOND}, said.append, lambda: now
    )
    near = np.array([now + 5 * SECOND], np.int64)
    assert clock(near.repeat(9)) is None
    assert clock(np.array([now - 2 * 3600 * SECOND])) is None  # it begins again
    assert clock(near.repeat(9)) is None
    assert clock() is None
    assert clock(near) == now
    assert clock() == now
    assert len(said) == 2


def test_everything_that_is_known_to_be_past_counts(bundle: Path) -> None:
    loaded: Any = load_bundle(bundle)
    assert known_moments(loaded) == {"the bundle's training data ended": TRAINED}
    provenance = dataclasses.replace(
        loaded.metadata.provenance, created="2026-03-01T00:00:00Z", time_stop="some time in spring"
    )
    approval = SimpleNamespace(moment=datetime(2026, 5, 1, tzinfo=UTC))
    later: Any = SimpleNamespace(
        metadata=dataclasses.replace(loaded.metadata, provenance=provenance), approval=approval
    )
    assert {name: moment / SECOND / 86_400 for name, moment in known_moments(later).items()} == {
        "the bundle was made": 20_513,
        "the bundle's signature was accepted": 20_574,
    }


def test_what_is_learned_later_counts_too() -> None:
    clock = GatewayClock({"x": 5}, lambda _: None, lambda: 7)
    clock.know("y", 3)
    assert clock() == 7
    clock.know("z", 9)
    assert clock() is None


def test_a_clock_about_which_nothing_is_known_is_believed() -> None:
    said = list[str]()
    assert GatewayClock({}, said.append, lambda: 5)() == 5
    assert said == []
