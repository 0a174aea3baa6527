"""Files that are named by a folder or by a pattern."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import InputError, UsageError, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["CSV_SUFFIXES", "PARQUET_SUFFIXES", "files_of"]

CSV_SUFFIXES, PARQUET_SUFFIXES = (".csv", ".csv.gz"), (".parquet", ".pq")


def files_of(words: Sequence[Path], suffixes: Sequence[str], option: str) -> list[Path]:
    """The files that are meant; those of one word in the order of their names.

    Args:
        words: Files; folders, for all of their own files with such a suffix; and patterns such as
            "valve*/*.csv", in which ** stands for any number of folders.
        suffixes: In lower case.
        option: With which they were named.

    Raises:
        InputError: A folder has no such file.
        UsageError: No file matches a pattern.
    """
    return [path for word in words for path in _meant(word, suffixes, option)]


def _meant(word: Path, suffixes: Sequence[str], option: str) -> Iterable[Path]:
    if word.is_dir():
        found = sorted(path for path in word.iterdir() if _is_table(path, suffixes))
        if not found:
            raise _no_table(word, suffixes, option)
        return found
    if word.exists() or not glob.has_magic(str(word)):
        return [word]  # whoever reads it says what is wrong with it
    matches = glob.glob(str(word), recursive=True)  # noqa: PTH207 - it may be absolute
    paths = sorted(map(Path, matches))
    folders = [path for path in paths if path.is_dir() and "**" not in str(word)]
    found = [path for path in paths if path.is_file()]
    found += [path for folder in folders for path in _meant(folder, suffixes, option)]
    if not found:
        raise UsageError(f"no file matches '{word}'", where=option, hint="see what `ls` finds there")
    return sorted(found)


def _no_table(folder: Path, suffixes: Sequence[str], option: str) -> InputError:
    tables = [path for path in folder.glob("*/*") if _is_table(path, suffixes)]
    below = sorted({path.parent for path in tables})
    if below:
        some = listed(path.name for path in below)
        found = [one for one in suffixes if any(path.name.lower().endswith(one) for path in tables)]
        patterns = " ".join(f"{option} '{folder}/*/*{one}'" for one in found)
        hint = f"{some} in it have some; name them, or all of them with {patterns}"
    else:
        hint = "name a file, a folder with such files, or a pattern in quotes"
    kinds = " or ".join(f"*{suffix}" for suffix in suffixes)
    return InputError(f"no file {kinds} in this folder", where=str(folder), hint=hint)


def _is_table(path: Path, suffixes: Sequence[str]) -> bool:
    return path.name.lower().endswith(tuple(suffixes)) and not path.name.startswith(".") and path.is_file()
