"""Faults are put into a stack under load, healed, proven and judged."""
