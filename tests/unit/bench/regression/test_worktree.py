"""Commits beside the work tree, in a repository that the test makes."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.regression.worktree import (
    CommitError,
    apply_patch,
    changed,
    checked_out,
    folder_for_trees,
    is_dirty,
    is_gateway_only,
    resolve,
)

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *AUTHOR, *arguments], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two commits; the second changes the gateway."""
    root = tmp_path / "project"
    (root / "system" / "gateway").mkdir(parents=True)
    (root / "system" / "wire.py").write_text("WIRE = 1\n")
    (root / "system" / "gateway" / "app.py").write_text("APP = 1\n")
    git(root, "init", "--quiet", "--initial-branch", "main")
    for text in ("one", "two"):
        (root / "system" / "gateway" / "app.py").write_text(f"APP = {text!r}\n")
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", text)
    return root


def test_a_commit_by_any_name(project: Path) -> None:
    head = resolve("HEAD", project)
    assert head.id == git(project, "rev-parse", "HEAD")
    assert resolve("main", project).id == resolve(head.short, project).id == head.id


def test_a_commit_that_is_not_there(project: Path, tmp_path: Path) -> None:
    with pytest.raises(CommitError, match="no commit nope in this repository"):
        resolve("nope", project)
    with pytest.raises(CommitError, match="no commit --help in this"):
        resolve("--help", project)
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(CommitError, match="this is not a git work tree"):
        resolve("HEAD", outside)


def test_what_differs(project: Path) -> None:
    base, head = resolve("HEAD~1", project), resolve("HEAD", project)
    assert changed(base, head, project) == ["system/gateway/app.py"]
    assert changed(head, head, project) == []


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], True),
        (["system/gateway/app.py", "docs/limits.md", "bench/run/run.py"], True),
        (["system/gateway/app.py", "system/wire.py"], False),
        (["system/services/user.py"], False),
        (["requirements.lock"], False),
        (["system/gateway.py"], False),
    ],
)
def test_what_lets_both_run_on_one_kafka(paths: list[str], expected: bool) -> None:
    assert is_gateway_only(paths) is expected


@given(st.lists(st.text(max_size=30)))
def test_only_the_system_and_its_packages_count(paths: list[str]) -> None:
    assert is_gateway_only([f"tests/{path}" for path in paths])


def test_a_commit_is_checked_out_and_removed(project: Path, tmp_path: Path) -> None:
    base = resolve("HEAD~1", project)
    with checked_out(base, tmp_path / "a", project) as a:
        with checked_out(base, tmp_path / "b", project) as b:
            assert (a / "system" / "gateway" / "app.py").read_text() == "APP = 'one'\n"
            (b / "left.txt").write_text("x")
        assert not b.exists()
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_a_dirty_tree(project: Path) -> None:
    (project / "notes.txt").write_text("not the system's")
    assert not is_dirty(project)
    (project / "system" / "wire.py").write_text("WIRE = 2\n")
    assert is_dirty(project)


def test_a_patch_that_does_not_fit(project: Path, tmp_path: Path) -> None:
    (project / "system" / "wire.py").write_text("WIRE = 2\n")
    patch = tmp_path / "x.patch"
    patch.write_text(git(project, "diff") + "\n")
    with pytest.raises(BenchError, match="git apply: "):
        apply_patch(project, patch)
    git(project, "checkout", "--quiet", ".")
    apply_patch(project, patch)
    assert (project / "system" / "wire.py").read_text() == "WIRE = 2\n"


def test_what_killed_processes_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path))
    left = tmp_path / "worktrees" / "left"
    left.mkdir(parents=True)
    with folder_for_trees() as ours, folder_for_trees() as others:
        assert not left.exists()
        assert ours.is_dir()
        assert ours != others
    assert list((tmp_path / "worktrees").iterdir()) == []
