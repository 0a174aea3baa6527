"""One run from data to bundle, on disk and compared with others: threshold, tests, checkpoint, figures."""
