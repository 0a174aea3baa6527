"""`edge-detect check` as a test sees it, and machines that are measured while it looks."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from support.bundles import SENSORS, normal_rows

from edge_runtime.influxdb import encode_lines, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from support.commands import Command

    from edge_runtime.influxdb import InfluxClient

__all__ = ["NAMES", "SECOND", "Checked", "check", "each_second", "influx_words", "put", "until"]

NAMES = [sensor[0] for sensor in SENSORS]
SECOND = 1_000_000_000
WAIT_S = 120.0


class Checked:
    """What `check --json` said, and its exit code."""

    def __init__(self, code: int, document: dict[str, Any]) -> None:
        self.code = code
        self.machines: dict[str, Any] = document["machines"]
        self.first: list[dict[str, Any]] = document["first"]
        self.rows: dict[str, int] = document["rows"]
        self.facts: list[tuple[str, str]] = [(fact["name"], fact["text"]) for fact in document["facts"]]
        self.wrong: list[tuple[str, str]] = [
            (fact["name"], fact["text"]) for fact in document["facts"] if fact["wrong"]
        ]
        assert document["ok"] == (not self.wrong) == (code == 0)

    def fact(self, name: str) -> str:
        """The only one of this name."""
        (text,) = [text for other, text in self.facts if other == name]
        return text

    def only_wrong(self, name: str) -> str:
        """The only thing that is wrong, and it is this."""
        ((found, text),) = self.wrong
        assert found == name, self.wrong
        return text


def check(command: Command, *words: object, seconds: float = 0.5, stdin: bytes = b"") -> Checked:
    """Runs it; nothing comes on standard error."""
    done = command("edge-detect", "check", *words, "--seconds", seconds, "--json", stdin=stdin)
    assert done.stderr == b""
    return Checked(done.returncode, json.loads(done.stdout))


def influx_words(client: InfluxClient, bundle: Path) -> tuple[object, ...]:
    """Options that read this database."""
    where = ("--url", client.settings.url, "--database", client.settings.database)
    return ("--bundle", bundle, "--source", "influx", *where)


def put(
    client: InfluxClient,
    machine: str,
    seconds: Sequence[float],
    *,
    measurement: str = "sensors",
    names: Sequence[str] = NAMES,
) -> None:
    """Rows of these seconds from now on."""
    now, values = time.time_ns(), normal_rows(len(seconds))
    fields = {name: values[:, NAMES.index(name)] for name in names}
    times = np.array([now + round(each * 1e9) for each in seconds], np.int64)
    write(
        client, encode_lines(measurement, times, tags={"machine_id": [machine] * len(times)}, fields=fields)
    )


@contextmanager
def each_second(do: Callable[[], None], period: float = 1.0) -> Iterator[None]:
    """Does it again and again, beside the block."""
    ended, failed = threading.Event(), list[BaseException]()

    def again() -> None:
        try:
            while not ended.wait(period):
                do()
        except BaseException as error:  # noqa: BLE001 - the test has to know
            failed.append(error)

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(WAIT_S)
    assert not failed, failed


def until(holds: Callable[[], bool]) -> None:
    """Waits for it."""
    stop = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < stop, "it never came true"
        time.sleep(0.05)
