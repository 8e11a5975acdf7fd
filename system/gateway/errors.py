"""A gateway refuses a request before it is sent, or can't start, with these errors."""


class RefusedError(Exception):
    """The request is answered with this error of the contract, and was not sent to Kafka."""

    def __init__(self, code: str, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id


class StartError(Exception):
    """The gateway cannot start; the message is one line that says what to do."""
