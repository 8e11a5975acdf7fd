"""A generator runs on another machine for an agent there, and its record comes back."""
