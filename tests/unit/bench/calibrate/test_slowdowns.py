"""The patches that slow the system down: each fits, and changes what it says."""

import ast
import subprocess
from pathlib import Path

import pytest

from bench.calibrate.slowdowns import FOLDER, SLOWDOWNS, Cost, slow_down, spin_turns
from bench.errors import BenchError
from bench.project import PROJECT_DIR

COST = Cost(gateway_us=400.0, flink_us=1500.0, spun_records=0.5, turn_us=0.02)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files of the work tree that patches change, in a repository of their own."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    for name in {slowdown.file for slowdown in SLOWDOWNS.values()}:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((PROJECT_DIR / name).read_bytes())
    return tmp_path


def contents(tree: Path) -> dict[str, str]:
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*.py")}


@pytest.mark.parametrize("name", SLOWDOWNS)
def test_a_slowdown_changes_the_one_file_that_it_names(tree: Path, name: str) -> None:
    slowdown, before = SLOWDOWNS[name], contents(tree)
    slow_down(tree, slowdown, COST)
    after = contents(tree)
    assert [file for file in before if before[file] != after[file]] == [slowdown.file]
    ast.parse(after[slowdown.file])
    assert (f"SPIN_TURNS = {spin_turns(slowdown, COST)}" in after[slowdown.file]) is (
        slowdown.share > 0
    )
    with pytest.raises(BenchError):
        slow_down(tree, slowdown, COST)


def test_every_patch_is_of_a_slowdown() -> None:
    assert set(FOLDER.iterdir()) == {found.path for found in SLOWDOWNS.values()}


def test_a_spin_is_its_share_of_what_a_request_costs() -> None:
    assert spin_turns(SLOWDOWNS["gateway-cpu-10"], COST) == 2_000
    assert spin_turns(SLOWDOWNS["service-cpu-20"], COST) == 30_000
