"""A study measures what growth costs: one thing at a time is varied; a plan answers from it."""
