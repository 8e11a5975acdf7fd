"""A probe tests a single promise of the system on its own."""
