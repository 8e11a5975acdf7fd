"""What the study of growth does to a real stack."""

import asyncio
from pathlib import Path

import bench
from bench.kafka.link import KafkaLink, Record
from bench.scaling.entities import MIX, UNDER_WAY_MAX, asking, make_entities, records
from system.runtime.stack import Stack
from system.wire import decode_request


async def test_entities_are_made_by_records_and_a_load_asks_for_them(
    stack: Stack, tmp_path: Path
) -> None:
    made: list[str] = []

    def take(record: Record) -> None:
        request = decode_request(record.value)
        if request.request_id.startswith("fill-"):
            made.append(request.request_id)

    number = UNDER_WAY_MAX + 500
    async with (
        KafkaLink(stack.bootstrap_servers) as link,
        link.following("user_in", take),
        link.following("stock_in", take),
    ):
        await make_entities(stack.bootstrap_servers, range(1_000), print)
        await make_entities(stack.bootstrap_servers, range(1_000, number), print)
    assert sorted(made) == sorted(each.request_id for _, _, each in records(range(number), ""))
    run = await asyncio.to_thread(
        *(bench.measure, asking(tmp_path, number), stack.url),
        rate=200,
        quick=True,
        results=tmp_path,
    )
    ((_, window),) = run.windows
    asked = {request.split()[0] for _, journey in MIX for request in journey}
    assert {*window.operations} == asked
    assert (window.refused, window.failed) == ({}, {}), "all of them are there"
