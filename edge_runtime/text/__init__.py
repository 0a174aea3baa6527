"""Numbers, times and names as text, and back: whole columns at once."""
