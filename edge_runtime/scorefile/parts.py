"""The output on its way: parts beside its place, and a note of how far they go, for a run that is cut off.

The output itself appears when it is complete, or not at all. A part that was begun and not ended is worth
nothing: its rows are scored again.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import UsageError
from edge_runtime.files import write_whole

if TYPE_CHECKING:
    from edge_runtime.scorefile.blocks import Writer

__all__ = ["Parts"]

NOTE = "note.json"


class Parts:
    """Parts of one output.

    Args:
        output: Where it goes in the end.
        writer: What writes them.
        identity: What must be the same for a run to be gone on with: input, bundle, options.
    """

    def __init__(self, output: Path, writer: Writer, identity: dict[str, Any]) -> None:
        # A link stays a link, and the parts lie on the disk of the file itself.
        self._output = output = Path(os.path.realpath(output)) if output.is_symlink() else output
        self._writer = writer
        self._identity = identity
        self._folder = output.with_name(f".{output.name}.parts")
        self._count = 0

    @property
    def unfinished(self) -> bool:
        """Whether an earlier run left something to go on with."""
        return (self._folder / NOTE).exists()

    def resume(self) -> dict[str, Any]:
        """What `note` was given last; the parts before it are kept.

        Raises:
            UsageError: There is nothing to go on with, or it is of another input, bundle or set of options.
        """
        where = str(self._output)
        try:
            note: dict[str, Any] = json.loads((self._folder / NOTE).read_text(encoding="utf-8"))
            known, count, state = note["identity"], int(note["parts"]), note["state"]
        except FileNotFoundError:
            raise UsageError(
                "there is no unfinished run to resume", where=where, hint="leave --resume out"
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(
                "the unfinished run cannot be read", where=str(self._folder), hint="leave --resume out"
            ) from None
        if known != self._identity:
            changed = [name for name in self._identity if known.get(name) != self._identity[name]]
            raise UsageError(
                f"the unfinished run had another {' and '.join(changed)}",
                where=where,
                hint="leave --resume out to start over",
            )
        self._count = count
        return dict(state)

    @property
    def some(self) -> bool:
        """Whether a part was ended."""
        return self._count > 0

    def begin(self) -> None:
        """Begins the next part; the first one throws away what is there."""
        if self._count == 0:
            self.discard()
            self._folder.mkdir()
        self._writer.open(self._part(self._count), first=self._count == 0)

    def end(self, state: dict[str, Any]) -> None:
        """Ends the part: with this state a later run can go on after it."""
        self._writer.close()
        self._count += 1
        note = {"identity": self._identity, "parts": self._count, "state": state}
        write_whole(self._folder / NOTE, json.dumps(note).encode())

    def finish(self, *, begun: bool = True) -> None:
        """Ends the last part, if one was begun, and puts the whole into its place."""
        if begun:
            self._writer.close()
            self._count += 1
        whole = self._part(0)
        if self._count > 1:
            whole = self._folder / "whole"
            self._writer.join([self._part(i) for i in range(self._count)], whole)
        whole.replace(self._output)
        folder = os.open(self._output.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self.discard()

    def discard(self) -> None:
        """Throws all parts away."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _part(self, number: int) -> Path:
        return self._folder / f"part-{number:04d}"
