"""The bench of each source: whoever adds a source adds its bench, and the contract holds for it, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.local_feeds import CsvBench, PlcBench, SimulateBench, StdinBench
from support.server_feeds import InfluxBench, MqttBench

if TYPE_CHECKING:
    from support.feeds import Bench

__all__ = ["BENCHES", "bench_of"]

BENCHES: dict[str, type[Bench]] = {
    "simulate": SimulateBench,
    "csv": CsvBench,
    "stdin": StdinBench,
    "influx": InfluxBench,
    "mqtt": MqttBench,
    "plc": PlcBench,
}


def bench_of(name: str) -> type[Bench]:
    """The bench of this source; the contract fails where there is none."""
    assert name in BENCHES, (
        f"the source {name} is not under contract: add a bench for it to BENCHES in tests/support/benches.py"
    )
    return BENCHES[name]
