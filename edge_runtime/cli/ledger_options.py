"""What commands on a ledger share: which one is meant, how it is read, and how tables are printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

__all__ = ["Config", "State", "history_of", "ledger_of", "print_table", "reading_ledger", "table_lines"]

Config = Annotated[
    Path | None, typer.Option(help="TOML file with the settings of `run`, which lead to the ledger.")
]
State = Annotated[Path | None, typer.Option(help="File of the ledger; found by --config unless given.")]


def ledger_of(config: Path | None, state: Path | None) -> Path:
    """The ledger's file: the one that is named, or that `run` with this configuration would use.

    Raises:
        UsageError: Neither is named, or there is no ledger.
    """
    from edge_runtime.errors import UsageError

    if state is None and config is None:
        raise UsageError("which ledger?", hint="name it with --state, or the configuration with --config")
    path = state
    if path is None:
        from edge_runtime.gateway.place import place_of_ledger
        from edge_runtime.gateway.settings import load_settings

        path = place_of_ledger(load_settings(config, {}))[0]
    if not path.exists():
        raise UsageError("there is no ledger", where=str(path), hint="`edge-detect run` makes it")
    return path


def history_of(config: Path | None, state: Path | None) -> Path:
    """The history beside that ledger, which need not be there.

    Raises:
        UsageError: As `ledger_of`.
    """
    from edge_runtime.history.schema import history_file

    ledger = ledger_of(config, state)
    if state is None and config is not None:
        from edge_runtime.gateway.settings import load_settings

        own = load_settings(config, {}).history.file
        if own is not None:
            return own
    return history_file(ledger)


def reading_ledger(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    """A ledger to be read while `run` may use it.

    Raises:
        LedgerError: It cannot be read.
    """
    import sqlite3
    from contextlib import contextmanager

    from edge_runtime.delivery.reading import reading
    from edge_runtime.errors import LedgerError

    @contextmanager
    def opened() -> Iterator[sqlite3.Connection]:
        try:
            with reading(path) as db:
                yield db
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"cannot be read ({error})",
                where=str(path),
                hint="if it is damaged, the next `edge-detect run` carries over what can be read",
            ) from None

    return opened()


def print_table(rows: Sequence[Mapping[str, Any]], none: str) -> None:
    """Prints rows under the names of the first one's columns; or a sentence where there are none."""
    for line in table_lines(rows) if rows else ("", f"  {none}"):
        typer.echo(line)


def table_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """An empty line, then rows under the names of the first one's columns; there is at least one."""
    yield ""
    names = list(rows[0])
    cells = [names, *([_cell(name, row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {line.rstrip()}"


def _cell(name: str, value: Any) -> str:
    return f"{value:,}" if name in ("entries", "rows", "bytes") and isinstance(value, int) else str(value)
