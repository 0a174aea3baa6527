"""`python -m trainer` is `edge-train`."""

from trainer.cli import main

main()
