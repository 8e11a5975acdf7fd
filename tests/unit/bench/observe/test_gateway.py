"""What is scraped of a server that is no gateway."""

import pytest
from support.small_server import serving

from bench.errors import BenchError
from bench.observe.gateway import scrape


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, b""), (400, b"https only"), (200, b"hello"), (200, b"\xff"), (200, b""), (200, b"a 1\n"),
     (200, b'kaflinkshop_gateway_build_info{a="b"} 1\n')],
)  # fmt: skip
def test_a_server_that_is_no_gateway_is_told_of_the_workload_file(status: int, body: bytes) -> None:
    with (
        serving(lambda path, _: (status, body)) as url,
        pytest.raises(BenchError, match=r"no gateway of KaflinkShop; for any other .*--workload"),
    ):
        scrape(url, 1)


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_gateway_that_refuses(status: int) -> None:
    with (
        serving(lambda path, _: (status, b"")) as url,
        pytest.raises(BenchError, match=f"/metrics answers {status}"),
    ):
        scrape(url, 1)
