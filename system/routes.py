"""The HTTP routes name the services too: one line here for each method that HTTP can reach.

The gateway serves what these tables list; the Flink job hosts `system.services.<service>` for each
service named here. What installed packages add to both is in `system.catalog`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Integer(NamedTuple):
    """An `Integer` is an optional query parameter."""

    minimum: int
    default: int


class Route(NamedTuple):
    """A route's `path` segments in braces are parameters: `{amount}` is an integer from 1, others
    are ids.

    `key` names the parameter that is the Kafka record's key. Where it is not in the path, the
    gateway mints it from the request_id, so that a request sent again names the same entity.
    """

    verb: str
    path: str
    service: str
    method: str
    key: str
    query: Mapping[str, Integer] = MappingProxyType({})


ROUTES = (
    Route("POST", "/users/create", "user", "create_user", "user_id"),
    Route("GET", "/users/find/{user_id}", "user", "find_user", "user_id"),
    Route("DELETE", "/users/remove/{user_id}", "user", "remove_user", "user_id"),
    Route("GET", "/users/credit/{user_id}", "user", "get_credit", "user_id"),
    Route("POST", "/users/credit/add/{user_id}/{amount}", "user", "add_credit", "user_id"),
    Route(
        "POST", "/users/credit/subtract/{user_id}/{amount}", "user", "subtract_credit", "user_id"
    ),
    Route("POST", "/orders/create/{user_id}", "order", "create_order", "order_id"),
    Route("GET", "/orders/find/{order_id}", "order", "find_order", "order_id"),
    Route("DELETE", "/orders/remove/{order_id}", "order", "remove_order", "order_id"),
    Route("POST", "/orders/addItem/{order_id}/{item_id}", "order", "add_item", "order_id"),
    Route("DELETE", "/orders/removeItem/{order_id}/{item_id}", "order", "remove_item", "order_id"),
    Route("POST", "/orders/checkout/{order_id}", "order", "checkout", "order_id"),
    Route(
        "POST",
        "/stock/item/create",
        "stock",
        "create_item",
        "item_id",
        query={"price": Integer(1, 1), "stock": Integer(0, 0)},
    ),
    Route("GET", "/stock/availability/{item_id}", "stock", "get_availability", "item_id"),
    Route("POST", "/stock/add/{item_id}/{amount}", "stock", "add_stock", "item_id"),
    Route("POST", "/stock/subtract/{item_id}/{amount}", "stock", "subtract_stock", "item_id"),
    Route("POST", "/payment/pay/{order_id}", "payment", "pay", "order_id"),
    Route("POST", "/payment/cancelPayment/{order_id}", "payment", "cancel_payment", "order_id"),
    Route("GET", "/payment/status/{order_id}", "payment", "get_status", "order_id"),
    Route("GET", "/echo/{echo_id}", "echo", "echo", "echo_id"),
    Route("GET", "/silence/{echo_id}", "echo", "silence", "echo_id"),
)

AMOUNT = "amount"
"""A path's parameter of this name is an integer."""
OWN = "gateway"
"""The routes of this service are answered by the gateway itself; they take any query."""

OWN_ROUTES = tuple(
    Route("GET", path, OWN, method, "")
    for path, method in (
        ("/", "index"),
        ("/health/live", "live"),
        ("/health/ready", "ready"),
        ("/metrics", "metrics"),
    )
)

CLAIM = "claim"
"""This service binds a client's own Idempotency-Key to one request; no route leads to it."""

SERVICES = tuple(sorted({CLAIM, *(route.service for route in ROUTES)}))
"""The Flink job can host each of these services, which are this project's own."""
