"""A run's folder has these: its record, samples, request log and series."""
