"""What a search for a capacity is asked to hold."""

from pathlib import Path

import pytest

from bench.cli.main import commands, parser
from bench.cli.run import plan_search
from bench.records.run_record import Level
from bench.run.model import Search


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ((), Level(10.0, 0.001)),
        (("--p99-ms", "20"), Level(20.0, 0.001)),
        (("--failed-share", "0"), Level(10.0, 0.0)),
    ],
)
def test_a_search_holds_the_workloads_thresholds(
    words: tuple[str, ...], level: Level, tmp_path: Path
) -> None:
    """They were recorded, and others were searched for."""
    file = tmp_path / "mine.toml"
    file.write_text(
        "thresholds = { p99_ms = 10, max_failed = 0.001 }\n"
        '[[request]]\noperation = "a"\npath = "/"\n'
    )
    given = ("capacity", "--target", "http://a", "--workload", str(file), *words)
    task = plan_search(parser(commands()).parse_args(given)).task
    assert isinstance(task, Search)
    assert task.level == level
    plain = plan_search(parser(commands()).parse_args(["capacity"])).task
    assert isinstance(plain, Search)
    assert plain.level == Level()
