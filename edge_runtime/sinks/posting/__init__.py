"""Posting to a server by HTTP, which several kinds of sinks do."""
