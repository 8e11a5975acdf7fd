"""A `StackError` says why a stack can't come up: one line for a person, exit code 3."""

EXIT_CODE = 3


class StackError(Exception):
    """The stack could not come up or has broken; the message says why and what to do."""
