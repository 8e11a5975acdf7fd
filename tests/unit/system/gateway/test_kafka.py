import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaStorageError,
    NoError,
    NotEnoughReplicasAfterAppendError,
    NotEnoughReplicasError,
    NotLeaderForPartitionError,
    ReplicaNotAvailableError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnknownTopicOrPartitionError,
)

from system.gateway.errors import StartError
from system.gateway.kafka import HOLD_S, LOADED_REQUESTS, Kafka
from system.gateway.protocol import Fetch, Fetched, Produce, Produced
from system.kafka_security import KafkaSecurity


@pytest.fixture
async def kafka(monkeypatch):
    """It is connected to a broker that acknowledges all; `fates` has what became of records,
    and `load` requests are in flight."""
    kafka = Kafka(
        "127.0.0.1:9",
        "gateway_out_test",
        ["user_in"],
        KafkaSecurity(),
        in_flight=lambda: kafka.load,
        on_reply=None,
        on_not_sent=None,
        on_fate=lambda fate, records: kafka.fates.put_nowait((fate, len(records))),
        on_produced=lambda latency_s: kafka.latencies_s.append(latency_s),
    )
    kafka.fates, kafka.load, kafka.latencies_s = asyncio.Queue(), 0, []

    async def send(node, request):
        return Produced([("user_in", 0, NoError.errno)])

    monkeypatch.setattr(kafka, "reachable", True)
    monkeypatch.setattr(kafka, "_partitions", {"user_in": 1})
    monkeypatch.setattr(kafka._out.cluster, "leader_for_partition", lambda target: 0)
    monkeypatch.setattr(kafka._out, "send", send)
    return kafka


async def test_a_broker_that_has_not_heard_of_a_topic_is_asked_again(kafka, monkeypatch):
    """`start` tries again after an error of Kafka's."""

    async def nothing():
        pass

    async def existing():
        return ["user_in"]

    async def described(topics):
        return [{"error_code": 3, "topic": topics[0], "partitions": []}]

    @asynccontextmanager
    async def admin(**options):
        yield SimpleNamespace(list_topics=existing, describe_topics=described)

    monkeypatch.setattr("system.gateway.kafka.kafka_admin", admin)
    for client in (kafka._out, kafka._in):
        monkeypatch.setattr(client, "bootstrap", nothing)
    with pytest.raises(UnknownTopicOrPartitionError, match="user_in"):
        await kafka._connect()


async def test_a_kafka_that_is_too_old_is_told_at_the_start(kafka, monkeypatch):
    async def nothing(*_):
        pass

    async def existing():
        return ["user_in", "gateway_out_test"]

    async def send(node, request):
        if isinstance(request, Fetch):
            return request.prepare({Fetch.API_KEY: (0, Fetch.API_VERSION - 1)})
        return SimpleNamespace(topics=[("gateway_out_test", [(0, NoError.errno, 0, 7)])])

    @asynccontextmanager
    async def admin(**options):
        yield SimpleNamespace(list_topics=existing)

    monkeypatch.setattr("system.gateway.kafka.kafka_admin", admin)
    monkeypatch.setattr(kafka._in, "send", send)
    monkeypatch.setattr(kafka._in.cluster, "leader_for_partition", lambda target: 0)
    for client in (kafka._out, kafka._in):
        for name in ("bootstrap", "set_topics", "force_metadata_update"):
            monkeypatch.setattr(client, name, nothing)
        monkeypatch.setattr(client.cluster, "partitions_for_topic", lambda topic: {0})
    with pytest.raises(StartError, match="this Kafka knows Fetch 0 to 10, and not 11"):
        await kafka.start(wait_s=0.1)


async def test_a_kafka_that_is_too_old_meanwhile_was_sent_nothing(kafka, monkeypatch):
    """Another broker leads, of another version: that is told, and tried again."""

    async def send(node, request):
        return request.prepare({Fetch.API_KEY: (0, 10), Produce.API_KEY: (0, 6)})

    withdrawn, slept = [], asyncio.Event()

    async def sleep(delay_s):
        slept.set()
        await asyncio.Future()

    monkeypatch.setattr(kafka, "_on_not_sent", lambda request_id, future: withdrawn.append(future))
    monkeypatch.setattr(kafka._in.cluster, "leader_for_partition", lambda target: 0)
    for client in (kafka._out, kafka._in):
        monkeypatch.setattr(client, "send", send)
        monkeypatch.setattr(client, "force_metadata_update", lambda: None)
    future = asyncio.get_running_loop().create_future()
    kafka.send("user_in", "u", b"{}", "a", future)
    assert await kafka.fates.get() == ("not_sent", 1)
    assert (withdrawn, kafka.reachable) == ([future], False)
    monkeypatch.setattr("system.gateway.kafka.asyncio.sleep", sleep)
    reading = asyncio.create_task(kafka._read())
    await slept.wait()
    assert not reading.done()
    reading.cancel()


@pytest.mark.parametrize("throttle_ms", [0, 700])
async def test_a_fetch_that_failed_as_a_whole_is_no_quota(kafka, monkeypatch, throttle_ms):
    async def send(node, request):
        return Fetched(throttle_ms, UnknownError.errno, None)

    monkeypatch.setattr(kafka._in.cluster, "leader_for_partition", lambda target: 0)
    monkeypatch.setattr(kafka._in, "send", send)
    with pytest.raises(UnknownError):
        await kafka._poll()


async def test_a_quota_of_the_broker_is_waited_for(kafka, monkeypatch):
    """Its answer has no topics then, and the gateway ended: after eleven times the whole stack."""
    waited_s, fetched = [], asyncio.Event()
    answers = [Fetched(700, NoError.errno, None)]

    async def send(node, request):
        if answers:
            return answers.pop()
        fetched.set()
        return await asyncio.Future()

    async def sleep(delay_s):
        waited_s.append(delay_s)

    monkeypatch.setattr(kafka._in.cluster, "leader_for_partition", lambda target: 0)
    monkeypatch.setattr(kafka._in, "send", send)
    monkeypatch.setattr("system.gateway.kafka.asyncio.sleep", sleep)
    kafka._position = 0
    reading, waiting = asyncio.create_task(kafka._read()), asyncio.create_task(fetched.wait())
    await asyncio.wait((reading, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert (waited_s, kafka.reachable, reading.done()) == ([0.7], True, False)
    reading.cancel()


async def test_a_traced_record_is_stamped_before_it_is_written(kafka, monkeypatch):
    stamps, written = [("queued", 1)], []
    send = kafka._out.send

    async def watched(node, request):
        written.append(list(stamps))
        return await send(node, request)

    monkeypatch.setattr(kafka._out, "send", watched)
    future = asyncio.get_running_loop().create_future()
    kafka.send("user_in", "u", b"{}", "a", future, stamps)
    kafka.send("user_in", "u", b"{}", "b", future)
    assert stamps == [("queued", 1)]
    await kafka.stop()
    assert [name for name, _ in stamps] == ["queued", "produced"]
    assert written == [stamps]
    assert kafka.fates.get_nowait() == ("acknowledged", 2)


@pytest.mark.parametrize(
    ("load", "holds"), [(1, 0), (LOADED_REQUESTS - 1, 0), (LOADED_REQUESTS, 1)]
)
async def test_a_batch_is_held_back_under_load_only(kafka, monkeypatch, load, holds):
    loop, timers = asyncio.get_running_loop(), []
    kafka.load = load
    monkeypatch.setattr(
        kafka,
        "_loop",
        SimpleNamespace(
            call_soon=loop.call_soon,
            create_task=loop.create_task,
            call_later=lambda *timer: timers.append(timer),
            time=loop.time,
        ),
    )
    kafka.send("user_in", "u", b"{}", "b")
    kafka.send("user_in", "u", b"{}", "c")
    assert [after_s for after_s, _ in timers] == [HOLD_S] * holds
    for _, drain in timers:
        drain()
    assert await kafka.fates.get() == ("acknowledged", 2)


@pytest.fixture
def breaking(kafka, monkeypatch):
    """Its connections break while there is something in `breaking`; `written` counts requests."""
    send = kafka._out.send
    kafka.breaking, kafka.written = [KafkaConnectionError()], 0

    async def broken(node, request):
        kafka.written += 1
        if kafka.breaking:
            raise kafka.breaking.pop()
        return await send(node, request)

    monkeypatch.setattr(kafka._out, "send", broken)
    return kafka


async def test_it_is_told_how_long_kafka_took_for_each_batch_that_it_answered(
    breaking, monkeypatch
):
    breaking.send("user_in", "u", b"{}", "a")
    assert await breaking.fates.get() == ("unknown", 1)
    assert breaking.latencies_s == []
    send, clock = breaking._out.send, asyncio.get_running_loop().time

    async def slow(node, request):
        await asyncio.sleep(0.02)
        return await send(node, request)

    monkeypatch.setattr(breaking._out, "send", slow)
    breaking.reachable, began_s = True, clock()
    breaking.send("user_in", "u", b"{}", "b")
    breaking.send("user_in", "u", b"{}", "c")
    assert await breaking.fates.get() == ("acknowledged", 2)
    (latency_s,) = breaking.latencies_s
    assert 0.01 < latency_s <= clock() - began_s


async def test_what_was_on_a_connection_that_broke_is_sent_again_while_somebody_waits(breaking):
    waits, gone = (asyncio.get_running_loop().create_future() for _ in range(2))
    breaking.send("user_in", "u", b"{}", "a", waits)
    breaking.send("user_in", "u", b"{}", "b", gone)
    breaking.send("user_in", "u", b"{}", "own")  # nobody waits for it
    assert await breaking.fates.get() == ("unknown", 3)
    gone.set_result(None)
    assert [record.request_id for record in breaking._doubtful] == ["a", "b"]
    breaking.reachable = True  # the reader has reached another broker
    breaking._send_again()
    assert [record.request_id for record in breaking._queue] == ["a"]
    await breaking.stop()
    assert breaking.written == 2
    assert breaking.fates.empty(), "its fate was told"


async def test_what_may_be_in_the_log_is_never_told_to_be_not_sent(breaking, monkeypatch):
    waits = asyncio.get_running_loop().create_future()
    breaking.send("user_in", "u", b"{}", "a", waits)
    assert await breaking.fates.get() == ("unknown", 1)
    monkeypatch.setattr(breaking._out.cluster, "leader_for_partition", lambda target: None)
    monkeypatch.setattr(breaking._out, "force_metadata_update", lambda: None)
    for _ in range(2):
        breaking._send_again()
        breaking._drain()
        assert [record.request_id for record in breaking._doubtful] == ["a"]
    assert breaking.fates.empty()  # and `on_not_sent` is no function here


@pytest.mark.parametrize(
    ("error", "fate", "comes_again"),
    [
        (UnknownError, "unknown", True),
        (KafkaStorageError, "unknown", True),
        (RequestTimedOutError, "unknown", False),
        (NotEnoughReplicasAfterAppendError, "unknown", False),
        (NotEnoughReplicasError, "not_sent", False),
        (NotLeaderForPartitionError, "unknown", True),
        (ReplicaNotAvailableError, "unknown", True),
        (TopicAuthorizationFailedError, "not_sent", False),
    ],
)
async def test_only_what_proves_it_is_told_to_be_not_sent(
    kafka, monkeypatch, error, fate, comes_again
):
    async def refuse(node, request):
        return Produced([("user_in", 0, error.errno)])

    withdrawn = []
    monkeypatch.setattr(kafka._out, "send", refuse)
    monkeypatch.setattr(kafka._out, "force_metadata_update", lambda: None)
    monkeypatch.setattr(kafka, "_on_not_sent", lambda request_id, future: withdrawn.append(future))
    future = asyncio.get_running_loop().create_future()
    kafka.send("user_in", "u", b"{}", "a", future)
    assert await kafka.fates.get() == (fate, 1)
    assert withdrawn == [future] * (fate == "not_sent")
    assert [record.request_id for record in kafka._doubtful] == ["a"] * comes_again
    kafka._doubtful.clear()
