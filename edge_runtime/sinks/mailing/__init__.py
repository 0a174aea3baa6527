"""Mails: what they say, and the way to a mail server."""
