"""Figures from records, as pure functions."""
