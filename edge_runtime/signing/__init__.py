"""Who made a bundle: ed25519 keys, the detached signature beside a bundle, and what a gateway trusts."""
