"""The worked example of docs/add-a-service.md, through Kafka and Flink."""

import json
import urllib.request


def test_the_example_service_answers(stack):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{stack.url}/echo/hello", timeout=30) as response:
        reply = json.load(response)
    assert response.status == 200
    assert reply.keys() == {"request_id", "echo_id"}
    assert reply["echo_id"] == "hello"
