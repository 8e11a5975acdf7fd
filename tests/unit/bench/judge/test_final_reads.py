"""Orders are read until their checkouts have ended, counted from when they can be read at all."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bench.judge import final_reads
from bench.judge.final_reads import read_all

IDS = {"user_id": ["u"], "order_id": ["o"], "item_id": []}


def reads(monkeypatch: pytest.MonkeyPatch, *, outage_s: float, in_progress: int) -> list[str]:
    """The kinds that are read: the first reading takes as long as an outage, and so many find the
    order in its checkout."""
    asked: list[str] = []

    async def read(_: object, kind: str, ids: Sequence[str]) -> dict[str, Any]:
        asked.append(kind)
        if len(asked) == 1:
            await asyncio.sleep(outage_s)
        is_open = asked.count("order_id") <= in_progress
        return {each: {"status": "checkout_in_progress" if is_open else "open"} for each in ids}

    monkeypatch.setattr(final_reads, "_read", read)
    return asked


async def test_an_outage_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_reads, "SETTLE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(final_reads, "SETTLE_INTERVAL_S", 0.0)
    asked = reads(monkeypatch, outage_s=0.6, in_progress=2)
    final = await read_all("http://127.0.0.1:1", IDS)
    assert asked == ["order_id", "order_id", "order_id", "user_id", "item_id"]
    assert final.orders == {"o": {"status": "open"}}


async def test_a_checkout_that_never_ends_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_reads, "SETTLE_TIMEOUT_S", 0.0)
    monkeypatch.setattr(final_reads, "SETTLE_INTERVAL_S", 0.0)
    reads(monkeypatch, outage_s=0.0, in_progress=1_000_000)
    final = await read_all("http://127.0.0.1:1", IDS)
    assert final.orders == {"o": {"status": "checkout_in_progress"}}
