"""A trial runs one service in memory, for its tests."""

from itertools import count
from typing import Any

import orjson

from system.service import Entity, Memory, Record, Service, Window, handle
from system.wire import Request, decode

SINK = "gateway_out_trial"
NOW_MS = 1_700_000_000_000
"""All records of a trial were written at this time, in ms since 1970."""


def as_kept(entity: Entity | None) -> Entity | None:
    """`as_kept` returns an entity as Flink's state gives it back. It raises `ValueError` where that
    is another one: a tuple comes back as a list, after a crash."""
    try:
        kept: Entity | None = orjson.loads(orjson.dumps(entity))
    except orjson.JSONEncodeError as cause:
        raise ValueError(f"the entity {entity!r} is no JSON: {cause}") from None
    if kept != entity:
        raise ValueError(f"the entity {entity!r} would come back as {kept!r}")
    return kept


class Trial:
    """A trial keeps what the Flink job would: an entity and its remembered steps, for each key.

    ``Trial(COUNTER).ask("add_counter", "c1", amount=2)`` returns the reply to one request.
    """

    def __init__(self, service: Service) -> None:
        self.entities: dict[str, Entity] = {}
        """The entities are what the service knows now, by key."""
        self.sent: list[Record] = []
        """The last request had the service send these records, but for its reply."""
        self._service = service
        self._memory: dict[str, dict[str, Memory]] = {}
        self._numbers = count(1)

    def ask(
        self, method: str, key: str, request_id: str = "", /, **params: Any
    ) -> dict[str, Any] | None:
        """`ask` returns the reply to one request without its request_id, or None where there is
        none.

        A request_id that came before is one request, sent again. It raises what the method does,
        and `ValueError` for what the Flink job would not keep as it is.
        """
        named = {self._service.key: key, **params}
        request = Request(request_id or f"r{next(self._numbers)}", SINK, method, named)
        memory = self._memory.setdefault(key, {})
        effect = handle(
            self._service, self.entities.get(key), memory.get, request, NOW_MS, Window()
        )
        kept = as_kept(effect.entity)
        memory.update(effect.memory)
        if kept is None:
            self.entities.pop(key, None)
        else:
            self.entities[key] = kept
        replies = [decode(record.value) for record in effect.records if record.topic == SINK]
        self.sent = [record for record in effect.records if record.topic != SINK]
        if not replies:
            return None
        replies[-1].pop("request_id")
        return replies[-1]
