"""A gateway can't start with this error."""


class StartError(Exception):
    """The gateway cannot start; the message is one line that says what to do."""
