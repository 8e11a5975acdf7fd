"""Keys as bytes: all that has room is there, those that came first go for others."""

import subprocess
import sys
from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from system.flink_job.packed_keys import ENTRY_BYTES, SHARD_BYTES, PackedKeys

ROOM = 3 * (ENTRY_BYTES + 1 + 4)
"""Three keys of one letter have room, with values of four bytes."""


def test_what_came_first_goes_at_the_edge() -> None:
    packed = PackedKeys(ROOM)
    for key in "abc":
        packed.put(key, key.encode() * 4)
    assert len(packed) == 3
    packed.put("d", b"dddd")
    assert [packed.get(key) for key in "abcd"] == [None, b"bbbb", b"cccc", b"dddd"]
    packed.put("b", b"BBBB")
    packed.put("e", b"eeee")
    assert [packed.get(key) for key in "bcde"] == [b"BBBB", None, b"dddd", b"eeee"]
    packed.drop("d")
    packed.put("f", b"ffff")
    assert [packed.get(key) for key in "bdef"] == [b"BBBB", None, b"eeee", b"ffff"]


def test_a_value_that_has_no_room_by_itself_does_not_stay() -> None:
    packed = PackedKeys(ROOM)
    packed.put("a", bytes(ROOM - ENTRY_BYTES - 1))
    assert packed.get("a") == bytes(ROOM - ENTRY_BYTES - 1)
    packed.put("a", bytes(ROOM - ENTRY_BYTES))
    assert packed.get("a") is None
    assert len(packed) == 0
    without_room = PackedKeys(0)
    without_room.put("a", b"")
    assert without_room.get("a") is None


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.none() | st.binary(max_size=9)), max_size=60)
)
def test_it_is_a_queue_of_keys_with_a_limit(given: list[tuple[str, bytes | None]]) -> None:
    packed, model = PackedKeys(ROOM), OrderedDict[str, bytes]()
    for key, value in given:
        assert packed.get(key) == model.pop(key, None)
        if value is None:
            packed.drop(key)
            continue
        packed.put(key, value)
        model[key] = value
        while sum(ENTRY_BYTES + 1 + len(each) for each in model.values()) > ROOM:
            model.popitem(last=False)
        assert len(packed) == len(model)


FILLING = """
import orjson, psutil
from system.flink_job.packed_keys import PackedKeys
before = psutil.Process().memory_info().rss
packed = PackedKeys(16 * 2**20)
for number in range(100_000):
    steps = [f"{number:036}"] * (1 + number % 15)
    packed.put(f"user_in/{number:036}", orjson.dumps([{"credit": number}, 0, steps]))
print(len(packed), psutil.Process().memory_info().rss - before)
"""


def test_it_takes_no_more_memory_than_it_may() -> None:
    """Nor when its keys were replaced by others of other sizes. orjson's bytes keep the room that
    they were written in: with them a million keys took 14 times as much."""
    done = subprocess.run([sys.executable, "-c", FILLING], check=True, capture_output=True)
    count, grown = map(int, done.stdout.split())
    assert 10_000 < count < 50_000
    assert grown < 1.5 * 16 * 2**20


def test_a_shard_s_keys_have_their_places_all_over_its_table() -> None:
    packed = PackedKeys(64 * SHARD_BYTES)
    for number in range(6400):
        packed.put(f"user_in/{number}", b"")
    for shard in packed._shards:
        assert len({hash(key) % 64 for key in shard}) > 32
