"""`python -m export` is `edge-export`."""

from export.cli import main

main()
