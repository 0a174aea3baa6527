"""History to training data: where rows come from, how they are split and labelled, what is written."""

from trainer.prepare.splits import Shares, Stretch
from trainer.prepare.write import Prepared, prepare_folder

__all__ = ["Prepared", "Shares", "Stretch", "prepare_folder"]
