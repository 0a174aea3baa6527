"""From training data and settings to a fitted detector."""
