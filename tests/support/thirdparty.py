"""Packages of somebody else's, as an installer would leave them in a folder, and their connectors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.connector import Registry
from edge_runtime.sinks.base import SinkKind
from edge_runtime.sinks.registry import SINKS
from edge_runtime.sources.base import SourceKind
from edge_runtime.sources.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

__all__ = [
    "SINK",
    "SINK_GROUP",
    "SOURCE",
    "SOURCE_GROUP",
    "install",
    "install_plc_link",
    "sink_kind",
    "source_kind",
]

SOURCE, SINK = "plc", "horn"
SOURCE_GROUP, SINK_GROUP = "edge_detect.sources", "edge_detect.sinks"
MODULE = Path(__file__).with_name("plc_link.py")


def install(
    folder: Path, name: str, version: str, module: str | None, entry_points: Mapping[str, str]
) -> None:
    """A distribution of one module file.

    Args:
        folder: On the path of modules.
        name: Of the distribution and of its module.
        version: Its version.
        module: The module's text; None for one that was lost.
        entry_points: Group to a line such as "plc = plc_link:PLC".
    """
    metadata = folder / f"{name}-{version}.dist-info"
    metadata.mkdir(parents=True)
    files = {
        f"{metadata.name}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{metadata.name}/entry_points.txt": "".join(
            f"[{group}]\n{line}\n\n" for group, line in entry_points.items()
        ),
    }
    if module is not None:
        files[f"{name}.py"] = module
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8")
    record = f"{metadata.name}/RECORD"
    (folder / record).write_text("".join(f"{path},,\n" for path in [*files, record]), encoding="utf-8")


def install_plc_link(folder: Path) -> Path:
    """The package plc_link 1.0 with the source `plc` and the sink `horn`."""
    points = {SOURCE_GROUP: f"{SOURCE} = plc_link:PLC", SINK_GROUP: f"{SINK} = plc_link:HORN"}
    install(folder, "plc_link", "1.0", MODULE.read_text(encoding="utf-8"), points)
    return folder


def source_kind(name: str, folder: Path, patch: pytest.MonkeyPatch) -> SourceKind:
    """The kind as the registry has it; the one of plc_link is found by a registry of its own."""
    if name != SOURCE:
        return SOURCES.get(name)
    _on_path(folder, patch)
    return Registry("source", SourceKind, {}, SOURCE_GROUP).get(name)


def sink_kind(name: str, folder: Path, patch: pytest.MonkeyPatch) -> SinkKind:
    """The same for a sink."""
    if name != SINK:
        return SINKS.get(name)
    _on_path(folder, patch)
    return Registry("sink", SinkKind, {}, SINK_GROUP).get(name)


def _on_path(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.syspath_prepend(install_plc_link(folder / "site"))
    # Both, so that the module that this imports is gone again when the test is over.
    patch.setitem(sys.modules, "plc_link", sys)
    patch.delitem(sys.modules, "plc_link")
