"""History to training data: where rows come from, how they are split and labelled, what is written."""

from trainer.prepare.origin import Origin
from trainer.prepare.splits import Shares, Stretch
from trainer.prepare.write import Prepared, check_folder, prepare_folder

__all__ = ["Origin", "Prepared", "Shares", "Stretch", "check_folder", "prepare_folder"]
