"""The options of commands that look at a bundle and may be told whom to trust."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from edge_runtime.gateway.settings import Settings
    from edge_runtime.signing.trust import Trust

__all__ = ["Config", "Target", "TrustedKeys", "trust_of", "trust_settings"]

TrustedKeys = Annotated[
    list[str] | None,
    typer.Option(
        "--trusted-key",
        help="Public key file (.pub). Only a bundle signed with a trusted key is accepted. May be repeated.",
        show_default=False,
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        help="Target for which the bundle must be signed. Requires trusted keys.", show_default=False
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="Configuration file of a gateway, for its bundle, its trusted keys and its "
        "record of accepted bundles.",
        show_default=False,
    ),
]


def trust_settings(config: Path | None, keys: list[str] | None, target: str | None) -> Settings:
    """A configuration with these keys and this target instead of its own.

    Raises:
        UsageError: They are wrong.
    """
    from edge_runtime.gateway.settings import load_settings

    return load_settings(config, {"trust": {"keys": keys, "target": target}})


def trust_of(keys: list[str] | None, target: str | None) -> Trust | None:
    """Who must have signed a bundle, where there is no configuration; None when nobody was named.

    Raises:
        UsageError: A key is none.
    """
    if not keys and target is None:
        return None
    from edge_runtime.gateway.assembly import make_trust

    return make_trust(trust_settings(None, keys, target))
