"""The one place that makes a verdict: no files, no network, no threads, no clock but the one passed in."""
