"""Where readings come from, one file a kind."""
