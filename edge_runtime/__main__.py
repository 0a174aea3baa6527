"""`python -m edge_runtime` is `edge-detect`."""

from edge_runtime.cli import console

console()
