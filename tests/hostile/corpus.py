"""Hostile and broken files, made from good bundles, each with the error that it must get.

Where the point is another check than the content digest, a file is stamped again, so that the digest is right
and cannot be what refuses it.

    python tests/hostile/corpus.py FOLDER

writes them all, for trying another reader or an older version on them.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile import cuts, documents, files, graphs, models
from support.bundles import make_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Case", "make_corpus"]


@dataclass(frozen=True)
class Case:
    """A file that must be refused.

    Attributes:
        name: What it is.
        data: The file.
        message: A pattern of the error that it must get.
    """

    name: str
    data: bytes
    message: str


def make_corpus(folder: Path) -> list[Case]:
    """All of them; the good bundles that they are made from are written into `folder`.

    Some point at the file `canary` beside themselves, by its name and by its whole path.
    """
    plain = make_bundle(folder, "plain.onnx", widths=(8, 2, 8)).read_bytes()
    with_memory = make_bundle(folder, "memory.onnx", widths=(8, 2, 8), smooth=4, average=0.3).read_bytes()
    options = {"widths": (8, 2, 8), "channels": True, "horizon": 1024.0}
    with_baseline = make_bundle(folder, "baseline.onnx", **options).read_bytes()

    def made() -> Iterator[Case]:
        for part in (
            files.broken(plain),
            models.hostile(plain, str(folder / "canary")),
            graphs.hostile(plain, with_memory),
            cuts.hostile(plain, with_memory),
        ):
            yield from (Case(*entry) for entry in part)
        yield from (Case(*entry) for entry in documents.hostile(plain))
        yield from (Case(*entry) for entry in documents.drifting(with_baseline))

    return list(made())


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for case in make_corpus(Path(scratch)):
            (target / f"{case.name.replace(' ', '-').replace('/', '_')}.onnx").write_bytes(case.data)
            sys.stdout.write(f"{case.name}: {case.message}\n")
