"""One measurement, end to end."""
