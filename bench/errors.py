"""What can go wrong in a way that a person should read: one clear line each."""


class BenchError(Exception):
    """The run can't go on; the message says what is wrong and what to do."""
