"""The live view: a person sees each machine's state, which sensor stands out, and what was expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from rich.console import Console
from support.bundles import normal_rows

from edge_runtime.engine.engine import Engine
from edge_runtime.gateway.view import LiveView
from edge_runtime.loading.load import Bundle, load_bundle
from edge_runtime.records import Readings, Results

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def loaded(bundle: Path) -> Bundle:
    return load_bundle(bundle)


def score(loaded: Bundle, machine: str, *, off: bool = False, lost: bool = False) -> Results:
    values = normal_rows(3, seed=2)
    if off:
        values[-1, 1] *= 6
    if lost:
        values[-1, 0] = np.nan
    times = np.arange(3, dtype=np.int64) * 1_000_000_000
    return Engine(loaded).feed(Readings(np.full(3, machine), times, values)).results


def shown(view: LiveView) -> str:
    console = Console(width=160, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    console.print(view._draw())
    return console.export_text()


def test_machines_verdicts_and_the_rate_are_there(loaded: Bundle) -> None:
    now = [100.0]
    view = LiveView("bundle on influx", loaded.metadata, lambda: now[0])
    view.watch(score(loaded, "press-1"))
    view.watch(score(loaded, "press-2", lost=True))
    now[0] = 102.0
    text = shown(view)
    assert "bundle on influx" in text
    assert "press-1" in text
    assert "normal" in text
    assert "unknown: missing" in text
    assert "6 rows, 3 a second" in text
    assert "Last anomalies" not in text


def test_an_anomaly_names_its_sensor_once_with_actual_and_expected(loaded: Bundle) -> None:
    view = LiveView("x", loaded.metadata, lambda: 0.0)
    results = score(loaded, "press-1", off=True)
    view.watch(results)
    view.watch(results)
    text = shown(view)
    actual, expected = results.readings.values[-1, 1], results.scores.expected[-1, 1]
    assert f"vibration {actual:.4g} mm/s, expected {expected:.4g}" in text
    assert "1970-01-01T00:00:02Z" in text
    assert "anomaly" in text


def test_many_machines_are_cut_and_counted(loaded: Bundle) -> None:
    view = LiveView("x", loaded.metadata, lambda: 0.0)
    for number in range(25):
        view.watch(score(loaded, f"m{number:02}"))
    assert "5 more machines" in shown(view)


def test_it_opens_reports_and_closes(loaded: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveView("x", loaded.metadata, lambda: 0.0)
    with view:
        view.watch(score(loaded, "press-1"))
        view.report("influx: answers [again]")
    assert "influx: answers [again]" in capsys.readouterr().out
