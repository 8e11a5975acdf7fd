"""The observers read the system and its machine while it is loaded."""
