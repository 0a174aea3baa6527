"""Where lives begin: a process that has imported everything, and forks one `edge-detect` after another.

It reads one JSON document a line, and answers each with one: see `Lives`, which starts it.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.points import Points, set_numbers

# Many a function takes its clock when it is imported: this one, which can be set wrong.
AHEAD_NS, NOW_NS = [0], time.time_ns
time.time_ns = lambda: NOW_NS() + AHEAD_NS[0]

IMPORTED = (
    *(
        "edge_runtime.cli",
        "edge_runtime.cli.run",
        "edge_runtime.gateway.pipeline",
        "edge_runtime.sinks.jsonl",
    ),
    *("edge_runtime.gateway.assembly", "edge_runtime.delivery.ledger", "edge_runtime.delivery.senders"),
    *("edge_runtime.sources.csv", "edge_runtime.sources.stdin", "edge_runtime.sources.influx"),
    *("edge_runtime.sources.mqtt", "edge_runtime.mqtt.client", "edge_runtime.sinks.influx"),
    *("edge_runtime.engine.engine", "edge_runtime.loading.load", "onnxruntime", "paho.mqtt.client"),
)


def main() -> None:
    """Until its standard input ends; or, with a document on its command line, that one life."""
    if len(sys.argv) > 1:
        live(json.loads(sys.argv[1]))
    for name in IMPORTED:
        __import__(name)
    for line in sys.stdin:
        order = json.loads(line)
        answer = wait(order) if "wait" in order else {"pid": begin(order)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def begin(order: dict[str, Any]) -> int:
    """Forks a life."""
    pid = os.fork()
    if pid == 0:
        live(order)
    return pid


def live(order: dict[str, Any]) -> NoReturn:
    """`edge-detect`, as from a shell, with its points hooked in."""
    os.chdir(order["folder"])
    os.environ.update(order["environment"])
    for number, name, flags in (
        (0, order["stdin"], os.O_RDONLY),
        (1, order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
        (2, order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ):
        descriptor = os.open(name, flags, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    set_numbers(order["numbers"])
    AHEAD_NS[0] = order["clock_s"] * 10**9
    points = Points(order["kill_at"], order["trace"])
    points.hook()
    points.hook_acknowledgements()
    if order["file_bytes"] is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_bytes"], resource.RLIM_INFINITY))
    sys.argv = ["edge-detect", *order["words"]]
    from edge_runtime.cli import console  # noqa: PLC0415 - its own imports are above

    code = 70
    try:
        console()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def wait(order: dict[str, Any]) -> dict[str, Any]:
    """The end of a life, or that it still lives after so many seconds."""
    until = time.monotonic() + order["seconds"]
    while True:
        pid, status, usage = os.wait4(order["wait"], os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return {"code": code, "peak_kb": usage.ru_maxrss}
        if time.monotonic() >= until:
            return {"code": None}
        time.sleep(0.002)


if __name__ == "__main__":
    main()
