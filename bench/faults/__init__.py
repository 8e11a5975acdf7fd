"""Faults put into a stack under load: what is injected, healed, proven and judged."""
