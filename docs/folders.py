"""Draws the folders' graph in `architecture.md` out of the imports themselves.

    python docs/folders.py           # says whether the drawing is as the imports are
    python docs/folders.py --write   # draws it again

An arrow leads from a folder, or a module beside the folders, to what it imports. What is also reached over
another arrow is left out, so that the drawing can be read.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import grimp

PAGE = Path(__file__).parent / "architecture.md"
BEGIN, END = "<!-- folders: begin -->\n", "<!-- folders: end -->"
ROOTS = ("edge_runtime", "trainer")


def edges(root: str) -> dict[str, set[str]]:
    """Folder of `root` to the folders that it imports."""
    graph = grimp.build_graph(root)
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        ours = _folder(module)
        theirs = {_folder(other) for other in graph.find_modules_directly_imported_by(module)}
        if ours:
            found.setdefault(ours, set()).update(theirs - {ours, ""})
    return found


def circle(found: dict[str, set[str]]) -> list[str]:
    """Folders that import each other in a circle, or nothing."""
    return sorted(folder for folder in found if folder in _reached(found, found[folder]))


def drawing(found: dict[str, set[str]]) -> str:
    """A Mermaid flowchart, without the arrows that longer ways make superfluous."""
    lines = ["flowchart TD"]
    for folder in sorted(found):
        direct = found[folder]
        lines += [
            f"  {folder} --> {other}"
            for other in sorted(direct)
            if other not in _reached(found, direct - {other})
        ]
    return "\n".join(lines)


def section() -> str:
    """What stands between the two marks of the page."""
    parts = []
    for root in ROOTS:
        found = edges(root)
        if circle(found):
            raise SystemExit(f"{root}: a circle of {', '.join(circle(found))}")
        parts.append(f"\n`{root}/`:\n\n```mermaid\n{drawing(found)}\n```\n")
    return "".join(parts) + "\n"


def _folder(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else ""


def _reached(found: dict[str, set[str]], start: set[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(start)
    while waiting:
        for other in found.get(waiting.pop(), ()):
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    return reached


def main() -> None:
    """Compares, or writes."""
    text = PAGE.read_text(encoding="utf-8")
    wanted = re.sub(
        f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: BEGIN + section() + END, text, flags=re.DOTALL
    )
    if "--write" in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        raise SystemExit(
            "the graph in docs/architecture.md is not what is imported; run: python docs/folders.py --write"
        )


if __name__ == "__main__":
    main()
