"""Which bundles passed their trial on this machine: one small file each in the state folder, named by digest.

What passed holds for the bytes, this edge-detect, this kind of trial and this ONNX Runtime: when one of them
changes, the trial is done once more. Where the folder cannot be written, it is done each time.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from edge_runtime.files import OWN_FILE, make_folder, read_regular, state_folder, write_whole
from edge_runtime.version import __version__

__all__ = ["TRIAL_VERSION", "Proofs"]

# Raised when the trial asks for more: what passed an easier one is tried again.
TRIAL_VERSION = 2
MAX_BYTES = 1024


class Proofs:
    """The remembered trials.

    Args:
        folder: The state folder; None for `state_folder()`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = (folder or state_folder()) / "proved"

    def holds(self, digest: str) -> bool:
        """Whether the bundle of this digest passed with the versions that run now."""
        with suppress(OSError, UnicodeDecodeError):
            return read_regular(self._file(digest), MAX_BYTES).decode() == _versions()
        return False

    def add(self, digest: str) -> None:
        """Remembers that it passed; where that cannot be written, it is not remembered."""
        with suppress(OSError):
            make_folder(self._folder)
            write_whole(self._file(digest), _versions().encode(), OWN_FILE)

    def _file(self, digest: str) -> Path:
        return self._folder / digest.removeprefix("sha256:")


def _versions() -> str:
    from edge_runtime.scoring.session import import_onnxruntime  # noqa: PLC0415

    onnxruntime = import_onnxruntime().__version__
    return f"edge-detect {__version__}, trial {TRIAL_VERSION}, onnxruntime {onnxruntime}\n"
