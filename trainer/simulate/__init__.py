"""Simulated machines, whose rows go to a CSV file or into an InfluxDB."""
