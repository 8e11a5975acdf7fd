"""A client that makes and removes topics, once the brokers know their controller.

Brokers that have just started, or come back from a halt, may name none for a moment; aiokafka
0.14 asks them twice, and then takes for granted that they do (an AttributeError).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError


@asynccontextmanager
async def kafka_admin(**options: Any) -> AsyncIterator[AIOKafkaAdminClient]:
    """`kafka_admin` yields a client for a few requests, and closes it. It raises `KafkaError` when
    no broker can be reached, and while the brokers know no controller: ask again then."""
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        if admin._client.cluster.controller is None:
            await admin._client.force_metadata_update()
        if admin._client.cluster.controller is None:
            raise KafkaConnectionError("the brokers have no controller yet")
        yield admin
    finally:
        await admin.close()
