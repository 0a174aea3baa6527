"""What writes a bundle, and where: `export` builds on this package, so it is found and not imported."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from edge_runtime.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["find_exporter", "make_folder"]

EXPORTERS = "edge_detect.export"


def find_exporter() -> Callable[[Path, Path], str]:
    """What turns a checkpoint folder into a bundle: an entry point, since `export` builds on this package.

    Raises:
        UsageError: None is installed.
    """
    for point in entry_points(group=EXPORTERS, name="checkpoint"):
        try:
            exporter: Callable[[Path, Path], str] = point.load()
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] in {"edge_runtime", "export", "trainer"}:
                break
            raise MissingExtraError("exporting a bundle", "workstation") from None
        return exporter
    raise UsageError(
        "no exporter is installed, and every fit ends with an export",
        where=f"entry point group {EXPORTERS}",
        hint="pip install 'edge-detect[workstation]'",
    )


def make_folder(folder: Path) -> None:
    """Makes a folder where it is missing.

    Raises:
        UsageError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write here ({error.strerror})",
            where=str(folder),
            hint="name a folder that you can write to with -o",
        ) from None
