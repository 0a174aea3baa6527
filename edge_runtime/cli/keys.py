"""`edge-detect keys`: makes and shows the keys that bundles are signed with, and signs a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_runtime.signing.issue import Terms
    from edge_runtime.signing.keys import PrivateKey, PublicKey

__all__ = ["keys", "signed_rows"]

keys = typer.Typer(
    help="Create and show signing keys, and sign bundles. Requires the extra 'signing'.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@keys.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the key, such as its owner or purpose.")
    ],
    *,
    folder: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the two key files.")
    ] = Path(),
) -> None:
    """Create a key pair: NAME.key, which signs and must stay here, and NAME.pub for every gateway."""
    from edge_runtime.signing.keys import new_key

    public, private_path, public_path = new_key(name, folder)
    _table(
        [
            ("private key", str(private_path)),
            ("public key", str(public_path)),
            ("id", public.id),
            ("trusted as", f'keys = ["{public.entry}"]'),
        ]
    )


@keys.command(name="list")
def list_keys(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Folder with the key files.")] = Path(),
) -> None:
    """List the keys in a folder with their name, kind (private or public), id and file."""
    from edge_runtime.errors import UsageError
    from edge_runtime.signing.keys import read_key

    if not folder.is_dir():
        raise UsageError("there is no such folder", where=str(folder))
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".key", ".pub"))
    found = [(read_key(path), path) for path in paths]
    if not found:
        raise UsageError(
            "there are no keys in this folder",
            where=str(folder),
            hint="create one with 'edge-detect keys new NAME'",
        )
    width = max(len(key.name) for key, _ in found)
    for key, path in found:
        typer.echo(f"{key.name:<{width}}  {_kind(key):<7}  {_public(key).id}  {path}")


@keys.command()
def show(
    key: Annotated[Path, typer.Argument(metavar="KEY", help="Key file, .key or .pub.")],
) -> None:
    """Show a key's name, kind, id, file and configuration entry. The secret itself is never shown."""
    from edge_runtime.signing.keys import read_key

    found = read_key(key)
    _table(
        [
            ("name", found.name),
            ("kind", _kind(found)),
            ("id", _public(found).id),
            ("file", str(key)),
            ("trusted as", f'keys = ["{_public(found).entry}"]'),
        ]
    )


@keys.command()
def sign(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle to sign.")],
    *,
    key: Annotated[Path, typer.Option("--key", help="Private key file.")],
    expires: Annotated[
        str,
        typer.Option(
            help="Time until which the bundle may be installed: a duration such as 365d, or a "
            "date such as 2027-12-31."
        ),
    ] = "365d",
    bundle_version: Annotated[
        int | None,
        typer.Option(
            help="Version of the bundle, higher than that of every earlier bundle for the same"
            " target. [default: the current date and time]",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Group of gateways for which the bundle is signed. [default: gateways without a target]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Check a bundle and write its signature to BUNDLE.sig beside it, replacing an existing signature."""
    from edge_runtime.files import refuse_same
    from edge_runtime.loading.load import load_bundle
    from edge_runtime.signing.beside import signature_path
    from edge_runtime.signing.issue import make_terms, private_key, sign_bundle

    refuse_same(signature_path(bundle), {"the private key": key}, "the signature")
    private, terms = private_key(key), make_terms(expires, bundle_version, target)
    loaded = load_bundle(bundle)
    path = sign_bundle(bundle, loaded.digest, loaded.size, private, terms)
    _table([("bundle", str(bundle)), ("digest", loaded.digest), *signed_rows(path, private, terms)])


def signed_rows(path: Path, key: PrivateKey, terms: Terms) -> list[tuple[str, str]]:
    """What there is to say of a signature that was written, name and value."""
    return [
        ("signature", str(path)),
        ("version", str(terms.version)),
        ("expires", terms.expires),
        ("target", terms.target),
        ("key", f"{key.name} {key.public.id}"),
    ]


def _public(key: PrivateKey | PublicKey) -> PublicKey:
    from edge_runtime.signing.keys import PublicKey

    return key if isinstance(key, PublicKey) else key.public


def _kind(key: PrivateKey | PublicKey) -> str:
    from edge_runtime.signing.keys import PublicKey

    return "public" if isinstance(key, PublicKey) else "private"


def _table(rows: list[tuple[str, str]]) -> None:
    for name, value in rows:
        typer.echo(f"{name:<12} {value}")
