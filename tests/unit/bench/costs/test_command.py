import pytest

from bench.costs.__main__ import main
from bench.errors import ExitCode
from system.runtime import registry


@pytest.mark.parametrize("arguments", [[], ["a", "a"], ["a", "b", "c"], ["a", "--users", "0"]])
def test_wrong_usage_is_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == ExitCode.USAGE
    assert capsys.readouterr().err.count("\n") == 1


def test_a_stack_that_is_not_up_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(registry, "find", lambda name: None)
    assert main(["gone"]) == ExitCode.FAILED
    assert capsys.readouterr().err == (
        "error: no stack gone is up: `python -m system up --name gone` brings it up\n"
    )
