"""Every cap of the gate: many times what a bundle needs, and far below what hurts a small gateway.

And the names that are taken.
"""

from __future__ import annotations

__all__ = [
    "LARGEST",
    "LONGEST_BASELINE_STEP",
    "MAX_BASELINE",
    "MAX_CONSTANTS",
    "MAX_CONSTANT_BYTES",
    "MAX_DIMENSION",
    "MAX_FILE_BYTES",
    "MAX_INPUTS",
    "MAX_METADATA_BYTES",
    "MAX_NAME",
    "MAX_NODES",
    "MAX_RANK",
    "MAX_SENSORS",
    "MAX_STATE_VALUES",
    "MAX_TEXT_BYTES",
    "MAX_WINDOW",
    "OF_A_SENSOR",
    "RESERVED",
    "SMALLEST",
]

MAX_FILE_BYTES = 32 << 20
MAX_METADATA_BYTES = 1 << 20
MAX_CONSTANT_BYTES = 24 << 20  # of all of them together
MAX_CONSTANTS = 512
MAX_NODES = 512
MAX_INPUTS = 64  # of a node
MAX_RANK = 4  # of a shape that the file states
MAX_DIMENSION = 65_536  # of a shape that the file states
MAX_STATE_VALUES = 1 << 20  # a model's memory is kept for each machine
MAX_WINDOW = 4096  # a number in a node's attribute
MAX_TEXT_BYTES = 256  # a name, or any text but the metadata
MAX_SENSORS = 128
MAX_BASELINE = 4 * MAX_SENSORS  # columns of a slow baseline
LONGEST_BASELINE_STEP = 65_536  # rows between two advances of it
LARGEST, SMALLEST = 3.4028234663852886e38, 1.1754943508222875e-38  # of float32's normal numbers
MAX_NAME = 128  # characters of a sensor's

# What no sensor can be called: the columns, keys, tags and fields that results have for themselves, in
# whatever form they are written; and what the columns begin with that they have for each sensor.
RESERVED = frozenset(
    (
        *("time", "machine_id", "verdict", "reason", "score", "severity", "top_sensor"),
        *("readings", "expected", "errors", "bundle"),
    )
)
OF_A_SENSOR = ("error_", "expected_")
