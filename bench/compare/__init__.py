"""Two sets of runs are compared as pure functions of their records."""
