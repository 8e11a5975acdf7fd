"""The blocking client, against a server of the standard library."""

import pytest
from support.small_server import serving

from machine.http import BODY_BYTES_MAX, HttpError, KeepAlive, answers, call, call_json

NOWHERE = "http://127.0.0.1:9"
TIMEOUT_S = 10.0


def test_one_connection_for_all_calls_and_another_for_each() -> None:
    asked: list[tuple[str, int]] = []

    def reply(path: str, connection: int) -> tuple[int, bytes]:
        asked.append((path, connection))
        return 200, b'{"a": 1}'

    with serving(reply) as url:
        kept = KeepAlive(f"{url}/base/", TIMEOUT_S)
        assert kept.call("GET", "/x?y=z") == kept.call("GET", "") == b'{"a": 1}'
        assert call_json("GET", f"{url}/jobs?mode=cancel", TIMEOUT_S) == {"a": 1}
        assert answers(url, TIMEOUT_S)
        kept.close()
    assert asked == [("/base/x?y=z", 0), ("/base", 0), ("/jobs?mode=cancel", 1), ("/", 2)]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        ((404, b"no"), "answers 404"),
        ((302, b"elsewhere"), "answers 302"),
        ((200, b"x" * (BODY_BYTES_MAX + 1)), "answers with more than 4,194,304 bytes"),
    ],
)
def test_what_is_no_answer(reply: tuple[int, bytes], says: str) -> None:
    with serving(lambda path, connection: reply) as url:
        with pytest.raises(HttpError, match=f"^{url}/metrics {says}$"):
            call("GET", f"{url}/metrics", TIMEOUT_S)
        assert not answers(url, TIMEOUT_S)


def test_the_largest_answer() -> None:
    with serving(lambda path, connection: (200, b"x" * BODY_BYTES_MAX)) as url:
        assert len(call("GET", url, TIMEOUT_S)) == BODY_BYTES_MAX


def test_nobody_listens() -> None:
    with pytest.raises(HttpError, match=f"^{NOWHERE}/x does not answer: .*refused"):
        call("GET", f"{NOWHERE}/x", TIMEOUT_S)
    assert not answers(NOWHERE, TIMEOUT_S)


def test_what_is_not_json() -> None:
    with (
        serving(lambda path, connection: (200, b"no")) as url,
        pytest.raises(HttpError, match="answers what is not JSON"),
    ):
        call_json("GET", url, TIMEOUT_S)
