"""`edge-detect verify`: every check that a bundle goes through before it is used, one line each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.cli.trust_options import Config, Target, TrustedKeys, trust_settings
from edge_runtime.errors import counted

if TYPE_CHECKING:
    from edge_runtime.loading.load import Step

__all__ = ["STATES", "verify"]

STATES = "states"  # the last step: what `run` would refuse, with these settings


def verify(
    bundle: Annotated[
        Path | None,
        typer.Argument(
            help="Bundle to verify. The bundle of --config, else the default bundle, is used "
            "if this is omitted."
        ),
    ] = None,
    *,
    config: Config = None,
    trusted_key: TrustedKeys = None,
    target: Target = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as one JSON document.")] = False,
) -> None:
    """Check a bundle, try it in a separate process, and replay its golden rows; exit with 1 if it is refused.

    With trusted keys, the signature is checked as well. The result is not remembered.
    """
    import json

    from edge_runtime.errors import BundleError
    from edge_runtime.gateway.assembly import make_engine, make_trust
    from edge_runtime.loading.load import STEPS, Step, load_bundle
    from edge_runtime.loading.trial import Trial

    passed: list[Step] = []

    def on_step(step: Step) -> None:
        passed.append(step)
        if not as_json:
            typer.echo(f"ok       {step.name:<15} {step.finding}")

    settings = trust_settings(config, trusted_key, target)
    trust = make_trust(settings)
    refused: BundleError | None = None
    try:
        path = bundle or settings.run.bundle
        loaded = load_bundle(path, on_step=on_step, trust=trust, trial=Trial(again=True, remembers=False))
        engine = make_engine(settings, loaded)
        megabytes = engine.max_machines * engine.machine_bytes / 1e6
        on_step(Step(STATES, f"{counted(engine.max_machines, 'machine')} may take {megabytes:,.1f} MB"))
    except BundleError as error:
        refused = error
    failed = None if refused is None else (*STEPS, STATES)[len(passed)]
    if as_json:
        document = {
            "ok": refused is None,
            "digest": None if refused else loaded.digest,
            "steps": [{"name": s.name, "ok": True, "finding": s.finding} for s in passed]
            + ([{"name": failed, "ok": False, "finding": str(refused)}] if refused else []),
            "golden_rows": None if refused else loaded.self_test.rows,
            "largest_golden_difference": None if refused else loaded.self_test.largest_difference,
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif failed is not None:
        typer.echo(f"REFUSED  {failed}")
    else:
        typer.echo(f"verified {loaded.name} {loaded.digest}")
    if refused is not None:
        raise refused
