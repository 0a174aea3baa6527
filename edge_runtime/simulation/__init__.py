"""The simulated machine, numpy only: what the demo source feeds and what `edge-train simulate` writes.

`machine.py` is the healthy machine, `events.py` what goes wrong with it and when, `simulator.py` the two
together as a stream of blocks.
"""

from edge_runtime.simulation.events import DEFAULT_RATE, Event, Kind
from edge_runtime.simulation.machine import SENSORS, UNITS, MachineCharacter
from edge_runtime.simulation.simulator import Block, Simulator

__all__ = ["DEFAULT_RATE", "SENSORS", "UNITS", "Block", "Event", "Kind", "MachineCharacter", "Simulator"]
