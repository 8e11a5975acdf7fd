"""What lies in a run's folder: its record, samples, request log and series."""
