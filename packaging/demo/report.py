"""The demo's report: what was found on the test rows and in the unseen hours, beside simpler detectors."""

from __future__ import annotations

import json
import sys
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np
from picture import draw

from trainer.calibration.treatment import ALIKE
from trainer.data.stretches import Stretch
from trainer.evaluation.events import EventReport, match_events
from trainer.evaluation.wording import chance_line, event_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

__all__ = ["matched_events", "write_report"]

FIGURES = ("f1", "precision", "recall", "roc_auc")
BESIDE = (
    "f1_of_random_alarms",
    "precision_of_random_alarms",
    "f1_always_anomalous",
    "precision_always_anomalous",
)
SECOND_NS = 1_000_000_000


def write_report(folder: Path, fits: Sequence[Path], found: pd.DataFrame, injected: pd.DataFrame) -> None:
    """Writes report.json and stretch.png into the folder, and the report to standard output.

    Args:
        folder: The demo's, with comparison.json and bench.json in it.
        fits: The folders of the training runs; the first one's bundle is the one that ran.
        found: What `edge-detect run` found: time (int64 ns), machine_id, severity, verdict.
        injected: The events of the same hours: machine_id, kind, sensors, onset, start, stop (int64 ns).
    """
    runs = [_read(fit / "metrics.json")["test"] for fit in fits]
    compared = _read(folder / "comparison.json")
    matched = matched_events(found, injected)
    report = {
        "test": {figure: mean(run[figure] for run in runs) for figure in FIGURES},
        "test_sd": {figure: _deviation([run[figure] for run in runs]) for figure in FIGURES},
        "beside": {figure: mean(run[figure] for run in runs) for figure in BESIDE},
        "seeds": len(runs),
        "simple": {
            name: {figure: compared[name][figure] for figure in FIGURES} for name in _best_simple(compared)
        },
        "events": _events(matched, found),
        "bench": _read(folder / "bench.json"),
    }
    draw(folder / "stretch.png", found, injected)
    files = {
        "report": folder / "report.json",
        "picture": folder / "stretch.png",
        "bundle": fits[0] / "bundle.onnx",
        "training runs": folder / "mlflow.db",
        "comparison": folder / "comparison.txt",
        "data": folder / "data",
    }
    report["files"] = {name: str(path) for name, path in files.items()}
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(_text(report, matched))


def matched_events(found: pd.DataFrame, injected: pd.DataFrame) -> EventReport:
    """Injected events against the verdicts that were delivered; a drift is one from its onset on.

    The tables are those of `write_report`.
    """
    found = found[found["verdict"] != "unknown"]
    # A stop is the first moment after an event, its stretch's last row the one before.
    truth = [
        Stretch(machine, onset, max(onset, stop - SECOND_NS), kind)
        for machine, onset, stop, kind in zip(
            injected["machine_id"].astype(str),
            injected["onset"].astype(int),
            injected["stop"].astype(int),
            injected["kind"].astype(str),
            strict=True,
        )
    ]
    times, machines = found["time"].to_numpy(np.int64), found["machine_id"].to_numpy(str)
    return match_events(truth, times, machines, (found["verdict"] == "anomaly").to_numpy(bool))


def _events(matched: EventReport, found: pd.DataFrame) -> dict[str, Any]:
    figures = matched.to_dict()
    delays = figures.pop("delays_s")
    return {
        **figures,
        "delay_median_s": delays and delays["median"],
        "delay_p90_s": delays and delays["p90"],
        "by_kind": {kind: {"injected": n, "found": hit} for kind, (n, hit) in matched.by_kind.items()},
        "rows": len(found),
        "rows_unknown": int((found["verdict"] == "unknown").sum()),
    }


def _best_simple(compared: dict[str, Any]) -> list[str]:
    """The simple detector with the best F1 when it is treated alike: its name, without and with that."""
    alike = [name for name in compared if name.endswith(ALIKE)]
    best = max(alike, key=lambda name: compared[name]["f1"])
    return [best.removesuffix(ALIKE), best]


def _deviation(values: list[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def _text(report: dict[str, Any], events: EventReport) -> str:
    bench, beside = report["bench"], report["beside"]
    lines = ["", f"On the test rows, {report['seeds']} training seeds, event labels:", ""]
    lines.append(f"  {'':<24}{'F1':>14}{'precision':>14}{'recall':>14}{'ROC AUC':>14}")
    ours = [f"{report['test'][f]:.3f} ± {report['test_sd'][f]:.3f}" for f in FIGURES]
    lines.append(f"  {'edge-detect':<24}" + "".join(f"{cell:>14}" for cell in ours))
    for name, figures in report["simple"].items():
        shown = "  treated alike" if name.endswith(ALIKE) else name
        lines.append(f"  {shown:<24}" + "".join(f"{figures[f]:>14.3f}" for f in FIGURES))
    at_random, always = (
        f"F1 {beside[f'f1_{way}']:.3f}, precision {beside[f'precision_{way}']:.3f}"
        for way in ("of_random_alarms", "always_anomalous")
    )
    lines += [
        "",
        "  Of the simple detectors, this one is the best on these very rows; comparison.txt has them all.",
        "  Treated alike, it has edge-detect's smoothing, margin and hold as well.",
        "",
        f"  The alarms of edge-detect at random times have {at_random};",
        f"  calling every row anomalous has {always}.",
        "",
        f"In {events.machine_days * 24:.1f} unseen machine-hours, as delivered by edge-detect run:",
        *(f"  {line}".rstrip() for line in event_lines(events, "")),
        "",
        f"  {chance_line(events)}",
        "  A drift is one from its onset on, before it is labelled.",
    ]
    latency = bench["latency_us"]
    lines += ["", "On this machine:", ""]
    row = f"one row {latency['p50']:.0f} µs (p99 {latency['p99']:.0f} µs)"
    lines.append(f"  {row}, cold start {bench['cold_start_ms']:.0f} ms, {bench['rss_mb']:.0f} MB")
    lines += ["", "Where everything lies:", ""]
    lines += [f"  {name:<14} {path}" for name, path in report["files"].items()]
    return "\n".join(lines) + "\n"
