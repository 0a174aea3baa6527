"""`edge-detect inspect`: what a bundle says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_runtime.cli.trust_options import Config, Target, TrustedKeys, trust_settings

if TYPE_CHECKING:
    from edge_runtime.bundle.metadata import Baseline, Metadata
    from edge_runtime.loading.load import Bundle

__all__ = ["inspect"]

Rows = list[tuple[str, str]]
HOUR_S = 3600


def inspect(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="Bundle to show. The bundle of --config, else the default bundle, is used if "
            "this is omitted."
        ),
    ] = None,
    *,
    diff: Annotated[
        Path | None,
        typer.Option(help="Other bundle. Only the differences from it are shown.", show_default=False),
    ] = None,
    config: Config = None,
    trusted_key: TrustedKeys = None,
    target: Target = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Show a bundle's sensors, threshold, quality, origin, size and signature."""
    import json

    from edge_runtime.gateway.assembly import make_trust
    from edge_runtime.loading.load import is_default, load_bundle

    settings = trust_settings(config, trusted_key, target)
    path, trust = bundle or settings.run.bundle, make_trust(settings)
    loaded = load_bundle(path, trust=trust)
    if diff is not None:
        from edge_runtime.cli.diff import show_differences

        show_differences(loaded, load_bundle(diff, trust=trust), as_json=as_json)
        return
    signature = _signature(loaded, None if is_default(path) else path)
    if as_json:
        typer.echo(json.dumps(_document(loaded, signature), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(_table(loaded, signature)))


def _signature(bundle: Bundle, path: Path | None) -> dict[str, Any] | None:
    """What the signature beside a bundle says, and whether it was checked; None when there is none."""
    import dataclasses

    from edge_runtime.errors import SignatureError
    from edge_runtime.signing.beside import read_signature
    from edge_runtime.signing.envelope import Envelope, Statement

    if bundle.approval:
        found: dict[str, Any] = {"checked": True, "key": bundle.approval.key.name}
        return found | dataclasses.asdict(bundle.approval.statement)
    try:
        data = read_signature(path)
        if data is None:
            return None
        statement = Statement.from_bytes(Envelope.from_bytes(data).payload)
        return {"checked": False} | dataclasses.asdict(statement)
    except SignatureError as error:
        return {"checked": False, "error": str(error)}


def _document(bundle: Bundle, signature: dict[str, Any] | None) -> dict[str, Any]:
    """Everything, with the metadata as it stands in the file; of the self-test only how many rows it has."""
    import dataclasses

    metadata = dataclasses.asdict(bundle.metadata)
    golden = metadata.pop("golden")
    if metadata["alarms"] is None:
        del metadata["alarms"]
    if metadata["baseline"] is not None:
        del metadata["baseline"]["golden"]
    if metadata["degraded"] is None:
        del metadata["degraded"]
    else:
        del metadata["degraded"]["golden"]
    if metadata["sensor_status"] is None:
        del metadata["sensor_status"]
    return {
        "name": bundle.name,
        "digest": bundle.digest,
        "bytes": bundle.size,
        "signature": signature,
        "opset": bundle.outline.opset,
        "ir_version": bundle.outline.ir_version,
        "operators": bundle.graph.operators,
        "initializer_bytes": bundle.graph.initializer_bytes,
        "golden": {
            "rows": len(golden["scores"]),
            "relative_tolerance": golden["relative_tolerance"],
            "absolute_tolerance": golden["absolute_tolerance"],
            "largest_difference": bundle.self_test.largest_difference,
        },
        "metadata": metadata,
    }


def _table(bundle: Bundle, signature: dict[str, Any] | None) -> list[str]:
    metadata = bundle.metadata
    width = max(len("sensor"), *(len(s.name) for s in metadata.sensors))
    units = max(len("unit"), *(len(s.unit) for s in metadata.sensors))
    lines = [f"{bundle.name}  {bundle.size:,} bytes", ""]
    lines.append(f"  {'sensor':<{width}}  {'unit':<{units}}  {'trained on':<24}  physical range")
    lines += [
        f"  {s.name:<{width}}  {s.unit:<{units}}  {_range(s.training_range):<24}  {_range(s.physical_range)}"
        for s in metadata.sensors
    ]
    for title, rows in [*_sections(bundle), ("signature", _signature_rows(signature))]:
        if rows:
            widest = max(len(name) for name, _ in rows)
            lines += ["", title, *(f"  {name:<{widest}}  {value}" for name, value in rows)]
    return lines


def _sections(bundle: Bundle) -> list[tuple[str, Rows]]:
    metrics = bundle.metadata.metrics
    return [
        ("model", _model(bundle)),
        ("without a sensor", _without(bundle.metadata)),
        ("sensor status", _sensor_status(bundle.metadata)),
        ("alarms", _alarms(bundle.metadata)),
        ("validation", _metrics(metrics.validation)),
        ("test", _metrics(metrics.test)),
        ("origin", _origin(bundle)),
        ("file", _file(bundle)),
    ]


def _model(bundle: Bundle) -> Rows:
    metadata, threshold, limits = bundle.metadata, bundle.metadata.threshold, bundle.metadata.limits
    model, hold = metadata.model, threshold.hold
    percentile = None if threshold.quantile is None else f"{100 * threshold.quantile:.6g}"
    chosen = f"{threshold.method}{_of(percentile)}{_of(threshold.metric)} on {threshold.rows:,} rows"
    overrides = [(f"threshold of {name}", f"{value:.6g}") for name, value in threshold.per_machine.items()]
    return [
        ("kind", f"{model.kind}, {model.parameters:,} parameters, {metadata.scaler.kind} scaling"),
        ("cadence", f"{metadata.cadence_seconds:g} s"),
        ("threshold", f"{threshold.value:.6g}  ({chosen})"),
        *sorted(overrides),
        ("debounce", "none" if threshold.debounce is None else f"{threshold.debounce} rows above"),
        ("hold", f"rise {hold.rise:g}, fall {hold.fall:g}, cap {hold.cap:g}, level {hold.level:g}"),
        ("levels", _levels(metadata.baseline, metadata.cadence_seconds)),
        ("p99 latency", "not declared" if limits.p99_latency_us is None else f"{limits.p99_latency_us:g} µs"),
        ("memory", "not declared" if limits.memory_mb is None else f"{limits.memory_mb:g} MB"),
    ]


def _levels(baseline: Baseline | None, cadence_seconds: float) -> str:
    """Whether the levels of a machine are those of training, or followed."""
    if baseline is None:
        return "as in training"
    rows, horizon = (
        f"{rows:,.0f} rows ({rows * cadence_seconds / HOUR_S:.3g} h)"
        for rows in (baseline.rows, baseline.horizon)
    )
    return f"followed over {horizon}, every {rows}"


def _without(metadata: Metadata) -> Rows:
    """How rows are judged that lack one sensor; nothing where they are unknown."""
    found = metadata.degraded
    if found is None:
        return []
    rows = []
    for name, absence in zip(metadata.sensor_names, found.absent, strict=True):
        loss = "" if absence.auc_loss is None else f", AUC lower by {absence.auc_loss:.3f}"
        rows.append((name, f"threshold {absence.threshold:.6g}{loss}"))
    return rows


def _sensor_status(metadata: Metadata) -> Rows:
    """When sensors stand still or jump; nothing where that is not found."""
    found = metadata.sensor_status
    if found is None:
        return []
    rows = []
    for sensor, limit in zip(metadata.sensors, found.limits, strict=True):
        flat = "may stand still"
        if limit.flat_rows is not None:
            flat = f"flat at {limit.flat_rows:,} rows within {_quantity(limit.within, sensor.unit)}"
        rate = (
            "" if limit.max_rate is None else f", at most {_quantity(limit.max_rate, sensor.unit)} a second"
        )
        rows.append((sensor.name, flat + rate))
    return rows


def _alarms(metadata: Metadata) -> Rows:
    """When an alarm is raised and returns; nothing where the bundle does not say so."""
    found = metadata.alarms
    if found is None:
        return []
    high = "never" if found.high_severity is None else f"from severity {found.high_severity:.3g} on"
    return [
        ("on-delay", f"{found.on_delay_s:g} s"),
        ("off-delay", f"{found.off_delay_s:g} s"),
        ("high priority", high),
        ("chosen on", f"{found.rows:,} rows"),
    ]


def _quantity(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}".rstrip()


def _origin(bundle: Bundle) -> Rows:
    origin = bundle.metadata.provenance
    versions = [f"{name} {version}" for name, version in sorted(origin.versions.items())]
    return [
        ("data", origin.data_digest),
        ("from", origin.time_start),
        ("to", origin.time_stop),
        ("machines", ", ".join(origin.machines) or "not named"),
        ("seed", str(origin.seed)),
        ("versions", ", ".join(versions)),
        ("git revision", origin.git_revision or "unknown"),
        ("MLflow run", origin.mlflow_run_id or "not stated"),
        ("created", origin.created or "not stated"),
    ]


def _file(bundle: Bundle) -> Rows:
    metadata, outline, golden = bundle.metadata, bundle.outline, bundle.metadata.golden
    tolerance = f"{golden.absolute_tolerance:.2g} + {golden.relative_tolerance:g} of the score"
    return [
        ("digest", bundle.digest),
        ("content digest", metadata.content_digest),
        ("format", f"version {metadata.format_version}, opset {outline.opset}, IR {outline.ir_version}"),
        ("needs", ", ".join(metadata.needs) or "nothing"),
        *(("note", f"{name}: {text}") for name, text in sorted(metadata.notes.items())),
        ("operators", ", ".join(f"{count} {name}" for name, count in bundle.graph.operators.items())),
        ("weights", f"{bundle.graph.initializer_bytes:,} bytes"),
        ("golden rows", f"{len(golden.scores)}, tolerance {tolerance}"),
    ]


def _signature_rows(signature: dict[str, Any] | None) -> Rows:
    if signature is None:
        return [("file", "none")]
    if "error" in signature:
        return [("file", f"cannot be read: {signature['error']}")]
    checked = (
        f"yes, with the key {signature['key']}"
        if signature["checked"]
        else "no: name the key with --trusted-key"
    )
    shown = ("version", "target", "expires", "key_id", "digest")
    return [("checked", checked), *((name, str(signature[name])) for name in shown)]


def _metrics(metrics: dict[str, float]) -> Rows:
    return [
        (name, f"{value:,.0f}" if value == int(value) and value > 1 else f"{value:.4f}")
        for name, value in sorted(metrics.items())
    ]


def _range(values: tuple[float, float] | None) -> str:
    return "not stated" if values is None else f"{values[0]:.6g} to {values[1]:.6g}"


def _of(value: float | str | None) -> str:
    return "" if value is None else f" {value}"
