"""What `nox -s containers` says where there is no engine, no Compose or no base."""

import os
import stat

import pytest
from support import engine

from machine.errors import StackError


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """``commands(docker="exit 1")`` makes these the only commands there are."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("KAFLINKSHOP_BASE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    def make(**scripts):
        for name, script in scripts.items():
            path = tmp_path / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


def said(of):
    with pytest.raises(StackError) as error:
        of()
    assert "\n" not in str(error.value)
    return str(error.value)


def entered():
    with engine.engine(print):
        pass


def test_no_engine_says_how_to_install_one(commands):
    assert said(entered) == f"no container engine is installed; {engine.HOW}"


def test_an_engine_that_does_not_answer_is_started_by_root_only(commands):
    commands(docker="exit 1", dockerd="exit 0")
    assert said(entered).startswith("no container engine answers: start one")


def test_a_daemon_that_ends_says_why(commands, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    commands(docker="exit 1", dockerd="echo starting; echo no cgroups >&2; exit 1")
    assert said(entered) == "dockerd does not start: no cgroups"


def test_an_engine_that_answers_is_used_and_left_alone(commands):
    commands(docker="echo 20.10", dockerd="exit 1")
    entered()


def test_an_engine_without_a_daemon_does_not_answer(commands):
    commands(docker="echo; exit 0", dockerd="exit 0")
    assert said(entered).startswith("no container engine answers: start one")


def test_compose_is_the_plugin_or_its_forerunner_or_missing(commands):
    commands(docker="exit 1")
    assert engine.HOW in said(engine.compose_command)
    commands(docker_compose="exit 0")
    assert engine.compose_command() == ["docker-compose"]
    commands(docker="exit 0")
    assert engine.compose_command() == ["docker", "compose"]


def test_the_base_is_the_chosen_one_or_one_that_is_here(commands, monkeypatch):
    commands(docker=f'[ "$4" = {engine.OWN_BASE} ] && echo abc; [ "$2" = ls ]')
    assert engine.base(print) == engine.OWN_BASE
    monkeypatch.setenv("KAFLINKSHOP_BASE", "mine")
    assert engine.base(print) == "mine"


def test_a_base_that_cant_be_pulled_needs_root_and_debootstrap(commands):
    commands(docker='[ "$1" = image ] && exit 0; echo "no route to a registry" >&2; exit 1')
    told = []
    assert said(lambda: engine.base(told.append)).startswith(f"{engine.BASE} can't be pulled")
    assert "no route to a registry" in told[0]


def test_a_command_that_fails_is_its_last_line_and_one_that_hangs_is_ended(commands):
    commands(fails="echo first >&2; echo last >&2; exit 4", hangs="exec /bin/sleep 60")
    assert said(lambda: engine.run(["fails", "now"], 60)) == "fails now ended with 4: last"
    assert "timed out" in said(lambda: engine.run(["hangs"], 0.01))
