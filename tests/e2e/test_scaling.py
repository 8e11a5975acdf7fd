"""What the study of growth does to a real stack."""

from urllib.request import ProxyHandler, build_opener

from bench.kafka.link import KafkaLink, Record
from bench.scaling import entities
from bench.scaling.entities import UNDER_WAY_MAX, make_users
from system.runtime.stack import Stack
from system.wire import decode_request

TIMEOUT_S = 30


async def test_users_are_made_by_records(stack: Stack) -> None:
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
        await make_users(stack.bootstrap_servers, number, print)
    assert len({*made}) == number
    opener = build_opener(ProxyHandler({}))
    for user_id in (made[0], made[-1]):
        with opener.open(f"{stack.url}/users/find/{user_id}", timeout=TIMEOUT_S) as response:
            assert response.status == 200
