"""Readings of the system and its machine while it is loaded."""
