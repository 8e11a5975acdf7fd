"""What can go wrong while a stack comes up: one line for a person each, exit code 3."""

EXIT_CODE = 3


class StackError(Exception):
    """The stack could not come up or has broken; the message says why and what to do."""
