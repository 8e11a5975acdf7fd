"""A run is one measurement, end to end."""
