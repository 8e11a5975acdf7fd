"""What a stack keeps has the form of its `LAYOUT`: a change of the one asks for the other."""

import re
from collections import deque
from pathlib import Path

import orjson
from support.hosted import Hosted
from support.shop import HOSTED, SINK

from system.flink_job import host
from system.runtime.data_folder import LAYOUT
from system.wire import Request, encode_request

SOURCES = Path(host.__file__).parent
DESCRIPTORS = re.compile(r"Descriptor\(|TimerService\(")
KEPT = Path(__file__).parent / f"layout-{LAYOUT}.json"

PURCHASE = (
    ("user_in", "u", "create_user", {"user_id": "u"}),
    ("user_in", "u", "add_credit", {"user_id": "u", "amount": 5}),
    ("stock_in", "i", "create_item", {"item_id": "i", "price": 3, "stock": 2}),
    ("order_in", "o", "create_order", {"order_id": "o", "user_id": "u"}),
    ("order_in", "o", "add_item", {"order_id": "o", "item_id": "i"}),
    ("order_in", "o", "checkout", {"order_id": "o"}),
    ("payment_in", "u", "no_such_method", {"user_id": "u"}),
)


def kept() -> dict[str, object]:
    """What Flink is told to keep: state, timers and records of a purchase, with all that services
    send each other."""
    hosted = Hosted()
    records: list[list[str]] = []
    for number, (topic, key, method, params) in enumerate(PURCHASE):
        request = Request(f"r{number}", SINK, method, params)
        due = deque([(topic, key.encode(), encode_request(request))])
        while due:
            for sent in hosted.take(*due.popleft()):
                records.append([sent.topic, (sent.key or b"").decode(), sent.value.decode()])
                if sent.topic in HOSTED:
                    assert sent.key is not None
                    due.append((sent.topic, sent.key, sent.value))
    sources = [SOURCES / name for name in ("HostOperator.java", "process_mode.py")]
    lines = [line.strip() for source in sources for line in source.read_text().splitlines()]
    return {
        "descriptors": [line for line in lines if DESCRIPTORS.search(line)],
        "values": {key: value.decode() for key, value in hosted.values.items()},
        "maps": {
            key: {name: value.decode() for name, value in entries.items()}
            for key, entries in hosted.maps.items()
        },
        "timers": {key: sorted(ats) for key, ats in hosted.timers.items()},
        "records": records,
    }


def test_the_form_is_that_of_the_layout(tmp_path: Path) -> None:
    found = orjson.dumps(kept(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"
    (tmp_path / KEPT.name).write_bytes(found)
    assert found == KEPT.read_bytes(), (
        f"older data would not do: raise LAYOUT of {LAYOUT} in system/runtime/data_folder.py, and "
        f"keep {tmp_path / KEPT.name} as the new one"
    )
