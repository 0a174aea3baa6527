"""`edge-detect run`: the loop from a source to the sinks, and what it is put together from."""
