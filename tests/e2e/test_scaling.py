"""What the study of growth does to a real stack."""

import asyncio
from pathlib import Path

import bench
from bench.kafka.link import KafkaLink, Record
from bench.scaling import entities
from bench.scaling.entities import UNDER_WAY_MAX, asking, make_users
from system.runtime.stack import Stack
from system.wire import decode_request


async def test_users_are_made_by_records_and_a_load_asks_for_them(
    stack: Stack, tmp_path: Path
) -> None:
    made: list[str] = []

    def take(record: Record) -> None:
        request = decode_request(record.value)
        if request.method == "create_user" and request.request_id.startswith("fill-"):
            made.append(request.params["user_id"])

    number = UNDER_WAY_MAX + 500
    async with (
        KafkaLink(stack.bootstrap_servers) as link,
        link.following(entities.TOPIC, take),
    ):
        await make_users(stack.bootstrap_servers, range(1_000), print)
        await make_users(stack.bootstrap_servers, range(1_000, number), print)
    assert sorted(made) == sorted(f"fill-{each}" for each in range(number))
    run = await asyncio.to_thread(
        *(bench.measure, asking(tmp_path, number), stack.url),
        rate=100,
        quick=True,
        results=tmp_path,
    )
    ((_, window),) = run.windows
    assert {*window.operations} == {"find_user", "add_credit"}
    assert (window.refused, window.failed) == ({}, {}), "all of them are there"
