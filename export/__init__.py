"""A trained model to one bundle, proved before it is written."""
