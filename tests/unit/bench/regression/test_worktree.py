"""Commits beside the work tree, in a repository that the test makes."""

import os
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.regression import worktree
from bench.regression.worktree import (
    CommitError,
    ancestors,
    apply_patch,
    changed,
    checked_out,
    folder_for_trees,
    fork_point,
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
    (project / "system" / "prüfung.py").write_text("")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "three")
    paths = changed(base, resolve("HEAD", project), project)
    assert paths == ["system/gateway/app.py", "system/prüfung.py"], "none in quotes"
    assert not is_gateway_only(paths)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], False),
        (["docs/limits.md", "bench/run/run.py"], False),
        (["system/gateway/app.py", "docs/limits.md", "bench/run/run.py"], True),
        (["system/gateway/app.py", "system/wire.py"], False),
        (["system/services/user.py"], False),
        (["requirements.lock"], False),
        (["system/gateway.py"], False),
        (["machine/processes.py"], False),
    ],
)
def test_what_lets_both_run_on_one_kafka(paths: list[str], expected: bool) -> None:
    assert is_gateway_only(paths) is expected


@given(st.lists(st.text(max_size=30)))
def test_only_the_system_and_its_packages_count(paths: list[str]) -> None:
    assert is_gateway_only(["system/gateway/app.py", *(f"tests/{path}" for path in paths)])


def test_a_commit_is_checked_out_and_removed(project: Path, tmp_path: Path) -> None:
    base = resolve("HEAD~1", project)
    with checked_out(base, tmp_path / "a", project) as a:
        with checked_out(base, tmp_path / "b", project) as b:
            assert (a / "system" / "gateway" / "app.py").read_text() == "APP = 'one'\n"
            (b / "left.txt").write_text("x")
        assert not b.exists()
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_git_knows_no_tree_whose_files_could_not_all_be_removed(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a process of its stack, which ends too, writes there meanwhile."""
    monkeypatch.setattr(cast(Any, worktree).shutil, "rmtree", lambda *_, **__: None)
    with checked_out(resolve("HEAD~1", project), tmp_path / "a", project):
        pass
    assert len(git(project, "worktree", "list").splitlines()) == 1


def test_an_installed_package_has_no_commits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the work tree around may have some: its environment is in it."""
    monkeypatch.setattr(worktree, "PROJECT_DIR", tmp_path)
    with pytest.raises(CommitError, match=r"installed here, without its commits: .* --service"):
        resolve("HEAD", tmp_path)


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


# ---- where a repository is, and who calls


def commit_file(where: Path, name: str) -> str:
    (where / name).write_text(name)
    git(where, "add", ".")
    git(where, "commit", "--quiet", "--message", name)
    return git(where, "rev-parse", "HEAD")


def test_what_the_base_got_since_is_no_change_of_the_heads(project: Path) -> None:
    """In a pull request's merge, too: its first parent is the base."""
    fork = git(project, "rev-parse", "HEAD")
    git(project, "checkout", "--quiet", "-b", "change")
    changed_id = commit_file(project, "change.txt")
    git(project, "checkout", "--quiet", "main")
    main_id = commit_file(project, "main.txt")
    main, change = resolve("main", project), resolve("change", project)
    assert (main.id, change.id) == (main_id, changed_id)
    assert fork_point(main, change, project) == main._replace(id=fork)
    git(project, "merge", "--quiet", "--no-edit", "change")
    merge = resolve("HEAD", project)
    assert fork_point(resolve("HEAD^1", project), merge, project).id == main_id
    assert fork_point(merge, change, project) == merge, "an older one was asked for on purpose"
    assert ancestors(merge, project)[-1] == merge.id
    assert ancestors(merge, project).index(fork) < ancestors(merge, project).index(main_id)


def test_commits_without_a_common_one(project: Path, tmp_path: Path) -> None:
    git(project, "checkout", "--quiet", "--orphan", "other")
    commit_file(project, "other.txt")
    other, main = resolve("other", project), resolve("main", project)
    with pytest.raises(CommitError, match=r"main and other have no commit in common$"):
        fork_point(main, other, project)
    git(project, "checkout", "--quiet", "main")
    commit_file(project, "more.txt")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project}", str(shallow))
    with pytest.raises(CommitError, match="git fetch --unshallow"):
        resolve("HEAD^1", shallow)
    git(shallow, "fetch", "--quiet", "--depth", "1", "origin", "other")
    ours, theirs = resolve("HEAD", shallow), resolve("FETCH_HEAD", shallow)
    with pytest.raises(CommitError, match="this clone is shallow, fetch the rest"):
        fork_point(ours, theirs, shallow)


def test_a_project_in_a_folder_of_a_repository(project: Path, tmp_path: Path) -> None:
    git(project, "mv", "-k", "system", "sub")
    (project / "within").mkdir()
    git(project, "mv", "sub", "within/system")
    git(project, "commit", "--quiet", "--message", "moved")
    within = project / "within"
    (within / "system" / "wire.py").write_text("WIRE = 3\n")
    git(project, "commit", "--quiet", "--all", "--message", "changed")
    commit_file(project, "outside.txt")
    base, head = resolve("HEAD~2", within), resolve("HEAD", within)
    assert changed(base, head, within) == ["system/wire.py"]
    patch = tmp_path / "x.patch"
    patch.write_text(git(within, "diff", "--relative", f"{base.id}..{head.id}") + "\n")
    with checked_out(base, tmp_path / "tree", within) as tree:
        assert tree == tmp_path / "tree" / "within"
        assert (tree / "system" / "wire.py").read_text() == "WIRE = 1\n"
        apply_patch(tree, patch)
        assert (tree / "system" / "wire.py").read_text() == "WIRE = 3\n"
    with (
        pytest.raises(CommitError, match="has no folder within"),
        checked_out(resolve("HEAD~3", within), tmp_path / "tree", within),
    ):
        raise AssertionError
    assert not is_dirty(within)
    (within / "system" / "wire.py").write_text("WIRE = 4\n")
    assert is_dirty(within)


def test_a_hook_of_git_keeps_its_index(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git gives these to a hook; a work tree that got them was checked out into the user's own."""
    (project / "system" / "wire.py").write_text("WIRE = 'staged'\n")
    git(project, "add", ".")
    before = git(project, "status", "--porcelain")
    hook = project / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(project / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(project))
    base = resolve("HEAD~1", project)
    with checked_out(base, tmp_path / "tree", project) as tree:
        assert (tree / "system" / "gateway" / "app.py").read_text() == "APP = 'one'\n"
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(name)
    assert git(project, "status", "--porcelain") == before == "M  system/wire.py"
    assert not (tmp_path / "hooked").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a clone away")
def test_a_clone_of_somebody_else(project: Path, tmp_path: Path) -> None:
    for path in (project, *project.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    head = resolve("HEAD", project)
    with checked_out(head, tmp_path / "tree", project) as tree:
        assert (tree / "system" / "wire.py").exists()
