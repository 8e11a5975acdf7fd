"""Which loads can be sent from elsewhere."""

import pytest

from bench.cli.main import call, commands, parser
from bench.cli.run import plan, plan_search
from bench.errors import UsageError
from bench.remote.frames import TOKEN
from bench.run.settings import GENERATORS_MAX

AGENTS = ("--agents", "a:1,b:2")


def settings_of(*words: str):
    args = parser(commands()).parse_args(words)
    return (plan if words[0] == "run" else plan_search)(args).settings


def test_each_agent_has_a_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, "a" * 16)
    found = settings_of("run", "--rate", "5", *AGENTS)
    assert (found.agents, found.generators) == (("a:1", "b:2"), 2)
    assert settings_of("capacity", "--generators", "5", *AGENTS).generators == 5
    assert settings_of("run", "--rate", "5").agents == ()


@pytest.mark.parametrize("number", [GENERATORS_MAX, GENERATORS_MAX + 1])
def test_there_are_as_many_agents_as_generators_at_most(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more has the seed of the next phase's first."""
    monkeypatch.setenv(TOKEN, "a" * 16)
    words = ("run", "--rate", "5", "--agents", ",".join(["a:1"] * number))
    if number == GENERATORS_MAX:
        assert settings_of(*words).generators == number
        return
    with pytest.raises(UsageError, match=f"{number} addresses, at most {GENERATORS_MAX}"):
        settings_of(*words)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("run", *AGENTS), "Locust's users are here"),
        (("run", "--rate", "5", "--locust", *AGENTS), "Locust's users are here"),
        (("run", "--rate", "5", "--trace-every", "5", *AGENTS), "one wall clock"),
        (("capacity", "--trace-every", "5", *AGENTS), "one wall clock"),
    ],
)
def test_a_load_of_this_machine_is_refused(words: tuple[str, ...], why: str, monkeypatch) -> None:
    monkeypatch.setenv(TOKEN, "a" * 16)
    with pytest.raises(UsageError, match=why):
        settings_of(*words)


def test_records_go_to_the_stacks_kafka_or_a_targets() -> None:
    assert settings_of("run", "--rate", "5", "--kafka").kafka == "own"
    found = settings_of("run", "--rate", "5", "--target", "http://a", "--kafka", "k:9092")
    assert found.kafka == "k:9092"
    assert settings_of("run", "--rate", "5").kafka is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("run", "--kafka"), "a --rate of the shop"),
        (("run", "--rate", "5", "--locust", "--kafka"), "a --rate of the shop"),
        (("run", "--rate", "5", "--kafka", "k:9092"), "goes with --target"),
        (("run", "--rate", "5", "--target", "http://a", "--kafka"), "goes with --target"),
        (("run", "--rate", "5", "--trace-every", "5", "--kafka"), "--kafka goes by"),
    ],
)
def test_what_kafka_can_not_take_is_refused(words: tuple[str, ...], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        settings_of(*words)


@pytest.mark.parametrize(
    "words", [("agent",), ("agent", "--listen", "127.0.0.1:0"), ("run", "--rate", "5", *AGENTS)]
)
def test_without_a_token_nothing_starts(words: tuple[str, ...], monkeypatch, capsys) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.delenv(f"{TOKEN}_FILE", raising=False)
    assert call(words) == 1
    assert f"error: set {TOKEN}" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["a", "a:70000", "a:-1", ":1"])
def test_where_to_listen_is_an_address(value: str, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        call(["agent", "--listen", value])
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err
