"""A transport is what the generator sends by: HTTP connections, or slots of Kafka's topics."""

from typing import Any, Protocol

from bench.workload.answer import Answer


class Connected(Answer, Protocol):
    """A request goes out by this, and is answered; `context`, `intended_ns` and `sent_ns` are the
    generator's, of the request under way."""

    context: Any
    intended_ns: int
    sent_ns: int

    @property
    def reusable(self) -> bool: ...

    def send(self, request: Any) -> None: ...

    def abort(self) -> None: ...


class Transport(Protocol):
    """The transport opens what requests go out by."""

    @property
    def takes_turns(self) -> bool:
        """`takes_turns` tells whether several servers take their turns at requests."""

    async def prepare(self) -> None: ...

    async def open(self, owner: Any) -> None:
        """`open` has `owner.opened` called, as of `bench.generator.connection.Owner`. It raises
        `OSError`."""

    async def close(self) -> None: ...
