"""At-least-once delivery: the ledger on disk and the senders that drain it."""
