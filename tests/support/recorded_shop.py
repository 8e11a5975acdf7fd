"""Histories of a shop that keeps its promises, with any mix of outcomes that nobody knows.

The services are the real ones, over the pure model of `support.shop`; made up are the clients, the
gateway and its faults. Time is virtual: the requests of a round are sent and answered at once,
`ROUND_NS` before the next round.
"""

import random
from typing import Any, NamedTuple

from bench.judge.reply_contract import READS, Final
from bench.records.request_log import Row
from support.shop import SINK, Shop
from system.routes import ROUTES
from system.wire import HTTP_STATUS, Request, input_topic

ROUND_NS = 60_000_000_000
"""Longer than anything is late."""
ASKED_NS = 1_000_000
ROUTE_OF = {route.method: route for route in ROUTES}
SURE = ("ok",)
UNSURE = ("ok", "ok", "ok", "reply lost", "never sent", "late", "cut", "refused")
"""How a request may end: of the reply lost, cut and late the effect is in the shop."""


class Asked(NamedTuple):
    method: str
    params: dict[str, Any]
    request_id: str
    path: str


class RecordedShop:
    """Plays a random shop; `rows` and `final` are what a checker gets to see."""

    def __init__(
        self, seed: int, rounds: int, fates: tuple[str, ...] = SURE, at_once_max: int = 3
    ) -> None:
        """`at_once_max` requests are under way at a time, at most."""
        self.shop = Shop()
        self.rows: list[Row] = []
        self._chance = random.Random(seed)
        self._fates = fates
        self._late: list[Asked] = []
        self._unsure: list[Asked] = []
        self._now_ns = ROUND_NS
        self._ids: dict[str, list[str]] = {"user_id": [], "item_id": [], "order_id": []}
        self._number = 0
        for operation in ("create_user", "create_user", "create_item", "create_item"):
            self._round([self._request(operation)], fates=SURE)
        for user_id, amount in zip(self._ids["user_id"], (60, 4), strict=True):
            self._round([self._request("add_credit", user_id=user_id, amount=amount)], fates=SURE)
            self._round([self._request("create_order", user_id=user_id)], fates=SURE)
        for _ in range(rounds):
            self._round([self._any() for _ in range(self._chance.randint(1, at_once_max))])
        self._round([], fates=SURE)
        self.final = Final(
            users=self._read("user", "find_user", "user_id"),
            orders=self._read("order", "find_order", "order_id"),
            items=self._read("stock", "get_availability", "item_id"),
        )

    def _any(self) -> Asked:
        if self._unsure and self._chance.random() < 0.3:
            return self._chance.choice(self._unsure)  # sent again with its key
        operations = list(ROUTE_OF.keys() - {"create_user", "echo", "silence", "remove_user"})
        often = ["add_item", "checkout", "add_credit", "find_user", "get_availability", "pay"]
        if self._chance.random() < 0.006:
            return self._request("remove_user")
        return self._request(self._chance.choice([*sorted(operations), *often, *often]))

    def _request(self, operation: str, **given: Any) -> Asked:
        self._number += 1
        route = ROUTE_OF[operation]
        params: dict[str, Any] = {}
        for segment in route.path.split("/"):
            if segment.startswith("{"):
                name = segment[1:-1]
                params[name] = self._argument(name) if name not in given else given[name]
        path = route.path.format(**params)
        if operation == "create_item":
            params |= {"price": self._chance.randrange(1, 6), "stock": self._chance.randrange(9)}
            path += f"?price={params['price']}&stock={params['stock']}"
        made = f"{route.service}{self._number}"
        if route.key not in params:
            params[route.key] = made
        return Asked(operation, params, f"r{self._number}", path)

    def _argument(self, name: str) -> Any:
        if name == "amount":
            return self._chance.randrange(1, 9)
        return self._chance.choice(self._ids[name])

    def _round(self, asked: list[Asked], fates: tuple[str, ...] = ()) -> None:
        """What was late until now comes first; then all of the round, in any order."""
        if self._late and self._chance.random() < 0.4:
            for late in self._late:
                self._deliver(late)
            self._late.clear()
            self.shop.settle()
        if fates == SURE and not asked:
            for late in self._late:
                self._deliver(late)
            self.shop.settle()
        fated = [(each, self._chance.choice(fates or self._fates)) for each in asked]
        for each, fate in fated:
            if fate not in ("never sent", "late", "refused"):
                self._deliver(each)
        while self.shop.log:
            index = self._chance.randrange(len(self.shop.log))
            same = [record.key for record in self.shop.log[:index]]
            if self.shop.log[index].key not in same:  # a key's records keep their order
                self.shop.deliver(self.shop.log.pop(index))
        for each, fate in fated:
            self._record(each, fate)
        self._now_ns += ROUND_NS

    def _deliver(self, asked: Asked) -> None:
        route = ROUTE_OF[asked.method]
        request = Request(asked.request_id, SINK, asked.method, asked.params)
        self.shop.produce(input_topic(route.service), asked.params[route.key], request)

    def _record(self, asked: Asked, fate: str) -> None:
        route = ROUTE_OF[asked.method]
        key = asked.request_id if asked in self._unsure else None
        status, body = 0, {}
        if fate == "ok":
            body = self.shop.replies[asked.request_id][-1]
            status = HTTP_STATUS[body["error"]["code"]] if "error" in body else 200
        elif fate == "refused":
            status, body = 503, {"error": {"code": "unavailable", "message": ""}}
        elif fate != "cut":
            status, body = 504, {"error": {"code": "timeout", "message": ""}}
        if fate in ("late", "reply lost", "never sent") and asked.method not in READS:
            self._unsure.append(asked)
        if fate == "late":
            self._late.append(asked)
        if status:
            body = {"request_id": asked.request_id, **body}
        if status == 200 and asked.method.startswith("create_"):
            made = self._ids[route.key]
            if body[route.key] not in made:
                made.append(body[route.key])
        sent_ns = self._now_ns
        self.rows.append(
            Row(asked.method, asked.path, key, sent_ns, sent_ns + ASKED_NS, status, body)
        )

    def _read(self, service: str, method: str, key: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for entity_id in self._ids[key]:
            body = self.shop.ask(service, method, f"final-{method}-{entity_id}", entity_id)
            found[entity_id] = None if "error" in body else body
        return found
