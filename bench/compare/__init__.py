"""Two sets of runs, compared as pure functions of their records."""
