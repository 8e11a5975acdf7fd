"""Single promises of the system, each on its own."""
