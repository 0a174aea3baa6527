"""`edge-export`: a checkpoint or an MLflow run to one bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_runtime.cli.guard import run_app
from edge_runtime.version import __version__

if TYPE_CHECKING:
    from export.parity import Parity

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"edge-export {__version__}")
        raise typer.Exit


@app.command(no_args_is_help=True)
def export(
    source: Annotated[
        str,
        typer.Argument(
            help="Model to export: a checkpoint folder, an MLflow run id (or runs:/ID), or a "
            "registered model as models:/NAME/VERSION, models:/NAME@ALIAS, or NAME for "
            "its latest version."
        ),
    ],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Bundle file to write. An existing file is replaced.")
    ] = Path("bundle.onnx"),
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            envvar="MLFLOW_TRACKING_URI",
            help="URI of the MLflow server or store. [default: sqlite:///mlflow.db]",
        ),
    ] = None,
    sign: Annotated[
        Path | None,
        typer.Option(
            metavar="KEY",
            help="Private key file with which the bundle is signed. [default: the bundle is not signed]",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="Time until which the signed bundle may be installed: 365d, or a date such as"
            " 2027-12-31. Requires --sign. [default: 365d]",
            show_default=False,
        ),
    ] = None,
    bundle_version: Annotated[
        int | None,
        typer.Option(
            help="Version of the signed bundle, higher than that of every earlier bundle for "
            "the same target. Requires --sign. [default: the current date and time]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Group of gateways for which the bundle is signed. Requires --sign. [default:"
            " gateways without a target]",
            show_default=False,
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Export a trained model as one bundle, which is checked against PyTorch before it is written."""
    from edge_runtime.cli.keys import signed_rows
    from edge_runtime.errors import UsageError
    from edge_runtime.files import refuse_same
    from edge_runtime.signing.beside import signature_path
    from edge_runtime.signing.issue import make_terms, private_key, sign_bundle
    from export.resolve import resolve
    from export.write import export_bundle

    if sign is None and (expires, bundle_version, target) != (None, None, None):
        raise UsageError(
            "--expires, --bundle-version and --target require a key", hint="name the private key with --sign"
        )
    # What is wrong with these is said before the work and not after it.
    key = None if sign is None else private_key(sign)
    terms = make_terms(expires, bundle_version, target)
    read: dict[str, Path | None] = {"the private key": sign}
    if Path(source).is_dir():
        read |= {f"the checkpoint's {path.name}": path for path in Path(source).iterdir()}
    refuse_same(output, read, "--output")
    if sign is not None:
        refuse_same(signature_path(output), {"the private key": sign}, "--output")
    with resolve(source, tracking_uri) as found:
        written = export_bundle(found.folder, output, created=found.created, mlflow_run_id=found.run_id)
    rows = [
        ("bundle", str(written.path)),
        ("size", f"{written.size:,} bytes"),
        ("digest", written.digest),
        ("golden rows", _shown(written.golden)),
        ("random rows", _shown(written.random)),
    ]
    if key is not None:
        path = sign_bundle(written.path, written.digest, written.size, key, terms)
        rows += signed_rows(path, key, terms)
    for name, value in rows:
        typer.echo(f"{name:<12} {value}")


def _shown(parity: Parity) -> str:
    return (
        f"{parity.rows:,}; ONNX Runtime's scores differ from PyTorch's by at most "
        f"{parity.score_difference:.2g}, or {parity.relative_difference:.2g} of the score: "
        f"{parity.allowance_used:.0%} of the allowance"
    )


def main() -> None:
    """The console script."""
    run_app(app, "edge-export")
