"""Trains the bundle that edge-detect uses when none is named: `python -m trainer.default_bundle`.

Simulated machines of several characters run in good order for training and validation; then, on another day, they
fail on purpose for the test. Equal code and packages give an equal file on the same machine: it holds no time, no run
id, and not the revision of the code, which would be older than the file's own commit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from edge_runtime.cli.guard import run_app
from edge_runtime.simulation import SENSORS, UNITS, Kind, Simulator
from trainer.data import Columns, read_training_data
from trainer.fit import Settings
from trainer.results import Results
from trainer.rows import LabelledRows, RowWriter, replacing
from trainer.run import Plan, run_fit
from trainer.tracking import NoTracker

__all__ = ["make_default_bundle"]
