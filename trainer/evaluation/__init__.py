"""How good a detector is, on labelled rows and events, and beside simple ones."""
