"""The judge says whether a run is valid, and whether the system was right."""
