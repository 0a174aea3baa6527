"""Writes into pages what the code says: the folders' graph, settings of connectors and rules, alarms' states.

    python docs/generate.py           # says whether the pages are as the code is
    python docs/generate.py --write   # writes them again

In the graph an arrow leads from a folder, or a module beside the folders, to what it imports. What is also
reached over another arrow is left out, so that the drawing can be read.
"""

from __future__ import annotations

import sys
from pathlib import Path

import grimp

from edge_runtime.cli.connectors import described
from edge_runtime.config import settings_of
from edge_runtime.engine.alarms import TRANSITIONS, Cause, State
from edge_runtime.engine.rules import Rule
from edge_runtime.sinks.registry import SINKS
from edge_runtime.sources.registry import SOURCES

DOCS = Path(__file__).parent
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


def folders() -> str:
    """The graph of each package."""
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


def connectors() -> str:
    """Each connector that is built in, as `edge-detect connectors NAME` prints it."""
    names = [*SOURCES.built_in, *(name for name in SINKS.built_in if name not in SOURCES.built_in)]
    return "".join(f"\n## {name}\n\n```toml\n{described(name)}\n```\n" for name in names) + "\n"


def transitions() -> str:
    """The states of an alarm and what leads from one to another, as the engine has them."""
    lines = [
        "\n| state | active | acked | "
        + " | ".join(cause.value for cause in Cause)
        + " |\n|---|---|---|"
        + "---|" * len(Cause)
    ]
    bits = {
        State.NORMAL: ("no", "yes"),
        State.UNACKNOWLEDGED: ("yes", "no"),
        State.ACKNOWLEDGED: ("yes", "yes"),
        State.RETURNED: ("no", "no"),
    }
    for state in State:
        after = [TRANSITIONS.get((state, cause)) for cause in Cause]
        cells = ["" if one is None else one.value for one in after]
        lines.append(f"| {' | '.join([f'**{state.value}**', *bits[state], *cells])} |")
    return "\n".join(lines) + "\n\n"


def rules() -> str:
    """What a rule may say, as the settings of a rule have it."""
    lines = ["\n| setting | option | unit | what it is |\n|---|---|---|---|"]
    for one in settings_of(Rule):
        option = f"`{one.flag}`" if one.flag else {"name": "`NAME`", "why": "`--why`"}[one.name]
        unless = f" `{one.default}` unless given." if one.default and one.kind is str and not one.many else ""
        lines.append(f"| `{one.name}` | {option} | {one.unit} | {one.help}{unless} |")
    return "\n".join(lines) + "\n\n"


SECTIONS = (
    ("alarms.md", "transitions", transitions),
    ("alarms.md", "rules", rules),
    ("architecture.md", "folders", folders),
    ("connectors.md", "connectors", connectors),
)


def main() -> None:
    """Compares, or writes."""
    for page, mark, section in SECTIONS:
        begin, end = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->"
        text = (DOCS / page).read_text(encoding="utf-8")
        before, _, rest = text.partition(begin)
        wanted = before + begin + section() + end + rest.partition(end)[2]
        if "--write" in sys.argv[1:]:
            (DOCS / page).write_text(wanted, encoding="utf-8")
        elif text != wanted:
            raise SystemExit(f"docs/{page} is not as the code is; run: python docs/generate.py --write")


if __name__ == "__main__":
    main()
