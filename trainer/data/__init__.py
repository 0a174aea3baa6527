"""Rows of sensor readings: tables of people read whole, what each column is for, and the three splits."""
