"""The load of a study of entities."""

from pathlib import Path

import pytest

from bench.scaling.entities import asking
from bench.workload.address import Address
from bench.workload.draws import Draws
from bench.workload.http_file import read_workload
from system.wire import METRICS_TOKEN, SHOP_TOKEN

USERS = 40


def requests(file: Path, number: int) -> list[bytes]:
    workload = read_workload(file)
    drawn = [each for each, _ in zip(Draws(workload, seed=1).block(), range(number), strict=False)]
    address = Address.of("http://127.0.0.1:1")
    return [workload.flows[flow].steps[0].request(address, texts) for flow, texts in drawn]


def test_each_user_is_asked_for_once_before_any_comes_again(tmp_path: Path) -> None:
    lines = [
        each.split(b"\r\n")[0].decode() for each in requests(asking(tmp_path, USERS, {}), USERS)
    ]
    users = {line.split("fill-")[1].split("/1 ")[0].split(" ")[0] for line in lines}
    assert users == {str(number) for number in range(USERS)}
    verbs = {line.split("fill-")[0] for line in lines}
    assert verbs == {"GET /users/find/", "POST /users/credit/add/"}


@pytest.mark.parametrize("name", [SHOP_TOKEN, METRICS_TOKEN])
def test_a_token_is_shown_and_not_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "s3cret")
    secret = tmp_path / 'a "secret"'
    secret.write_text("s3cret\n")
    for environment in ({name: "s3cret"}, {f"{name}_FILE": str(secret)}):
        file = asking(tmp_path, USERS, environment)
        assert "s3cret" not in file.read_text()
        assert b"Authorization: Bearer s3cret\r\n" in requests(file, 1)[0]
