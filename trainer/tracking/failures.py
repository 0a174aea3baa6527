"""What it means when MLflow, or the SQLite file below it, raises: one line, with a hint."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edge_runtime.errors import TrainingError, printable

if TYPE_CHECKING:
    from trainer.tracking.names import Store

__all__ = ["failed"]

MAX_REASON, MAX_CAUSE = 300, 100
OTHER = "name another store with --tracking-uri"
# What stands in the error, what is wrong, and what helps; the first that fits.
KNOWN: tuple[tuple[str, str, str], ...] = (
    (r"it is a folder", "is a folder, not a SQLite file", OTHER),
    (
        r"maintenance mode",
        "MLflow no longer keeps runs in a folder",
        "name a SQLite file, such as sqlite:///mlflow.db, to which 'mlflow migrate-filestore' moves them",
    ),
    (
        r"unsupported URI",
        "is no kind of store that MLflow knows",
        "name a SQLite file, such as sqlite:///mlflow.db, or a server, such as http://127.0.0.1:5000",
    ),
    (
        r"\b401\b|\b403\b|Unauthorized|Forbidden|PERMISSION_DENIED|not authenticated",
        "the server refuses this login",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    (
        r"too many 5\d\d error|error code 5\d\d",
        "the server fails",
        "see what its log says",
    ),
    (
        r"error code 404|not in a valid JSON",
        "what answers there is not an MLflow server, or one without what is asked for",
        f"see that the address is right, or {OTHER}",
    ),
    (
        r"readonly database|read-only|Permission denied|Operation not permitted|unable to open database file",
        "cannot be written",
        f"see who may write there, or {OTHER}",
    ),
    (
        r"\[Errno (2|20|22)\]",
        "its place for files cannot be written",
        "see that it is there, and of a server, that it was started with --serve-artifacts",
    ),
    (r"database or disk is full|No space left|quota", "the disk is full", "free some disk space"),
    (r"disk I/O error", "the disk does not take it", "see whether it is full or failing"),
    (
        r"file is not a database|malformed|file is encrypted",
        "is damaged, or not a SQLite file",
        f"move it away or restore a copy, or {OTHER}",
    ),
    (
        r"database is locked",
        "another program keeps the database locked",
        "end that program, or try again when it is done",
    ),
    (
        r"out-of-date database schema|Can't locate revision",
        "its tables are of another version of MLflow",
        "copy it, then run 'mlflow db upgrade' on it, or upgrade mlflow",
    ),
    (
        r"Connection refused|Name or service|name resolution|resolve|NewConnectionError|unreachable",
        "the server cannot be reached",
        "see that it is running and that its address is right",
    ),
    (r"timed out|timeout", "the server does not answer in time", "see that it is running"),
    (r"No module named|Can't load plugin", "a package for this kind of store is missing", "install it"),
)


def failed(store: Store, error: BaseException) -> TrainingError:
    """The error to raise in the place of another.

    Args:
        store: Which MLflow was used.
        error: What it raised, or what SQLite or the system did below it.
    """
    text = str(error).replace(store.uri, store.shown)
    first = (
        re.sub(r"^\(\S+\) |^\[Errno \d+\] ", "", text.strip().splitlines()[0])
        if text.strip()
        else type(error).__name__
    )
    inner = re.search(r"\[Errno -?\d+\] ([^':\"]+)|Caused by (\w+)|status code (\d+)", text)
    cause = next(filter(None, inner.groups())) if inner else ""
    for pattern, what, hint in KNOWN:
        if re.search(pattern, text, re.IGNORECASE):
            reason = first if len(first) < MAX_CAUSE else cause
            shown = f" ({printable(reason, MAX_CAUSE)})" if reason else ""
            return TrainingError(what + shown, where=store.shown, hint=hint)
    hint = "see what the store's own log says, or name another store with --tracking-uri"
    return TrainingError(f"MLflow failed ({printable(first, MAX_REASON)})", where=store.shown, hint=hint)
