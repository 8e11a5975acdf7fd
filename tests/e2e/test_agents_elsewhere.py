"""An agent whose network is another one: a namespace of its own, at the other end of a cable."""

import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from support.agents import ENVIRONMENT
from support.bench_command import RUN_TIMEOUT_S, SOUND

pytestmark = pytest.mark.skipif(shutil.which("ip") is None, reason="there is no iproute2 here")

WORKLOAD = '[[request]]\noperation = "root"\npath = "/"\n'
LEADER, AGENT = "10.99.0.1", "10.99.0.2:7070"
SCRIPT = """
set -e
python=$1 folder=$2
ip link set lo up
ip link add cable type veth peer name other
unshare --net sleep {timeout_s:g} &
elsewhere=$!
trap 'kill $(jobs -p) 2> /dev/null' EXIT
until [ "$(readlink /proc/$elsewhere/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do
    sleep 0.1
done
ip link set other netns $elsewhere
ip address add {leader}/24 dev cable
ip link set cable up
inside="nsenter --target $elsewhere --net"
$inside ip link set lo up
$inside ip address add {agent_host}/24 dev other
$inside ip link set other up
"$python" -m http.server --bind 0.0.0.0 --protocol HTTP/1.1 8080 2> /dev/null &
$inside "$python" -m bench agent --listen {agent} 2> "$folder/agent.log" &
agent=$!
until grep -q "agent on" "$folder/agent.log"; do
    kill -0 $agent
    sleep 0.1
done
bench() {{
    "$python" -m bench run --quick --workload "$folder/workload.toml" --rate 50 \\
        --agents {agent} --out "$folder/out" --target "$@"
}}
"""
ENDS = "bench http://{leader}:8080"
LOOPBACK = "bench http://127.0.0.1:8080"
UNREACHABLE = """
ip address add 10.98.0.1/24 dev lo
bench http://10.98.0.1:8080
"""
CUT = """
bench http://{leader}:8080 --duration 120 2> "$folder/told" &
run=$!
until grep -q " measure " "$folder/told"; do
    kill -0 $run
    sleep 0.1
done
ip link set cable down
code=0
wait $run || code=$?
until grep -q "silent" "$folder/agent.log"; do
    kill -0 $agent
    sleep 0.1
done
if pgrep -P $agent; then exit 9; fi
exit $code
"""
"""Nobody says goodbye where a cable is cut: each end finds out by silence, and the agent stays."""


def elsewhere(folder: Path, script: str) -> "subprocess.CompletedProcess[str]":
    (folder / "workload.toml").write_text(WORKLOAD)
    host, _, _ = AGENT.partition(":")
    text = (SCRIPT + script).format(
        leader=LEADER, agent=AGENT, agent_host=host, timeout_s=RUN_TIMEOUT_S
    )
    return subprocess.run(
        ["unshare", "--map-root-user", "--net", "bash", "-c", text, "-", sys.executable, folder],
        capture_output=True, text=True, timeout=RUN_TIMEOUT_S, env=ENVIRONMENT,
    )  # fmt: skip


def record(folder: Path) -> dict[str, object]:
    (found,) = (folder / "out").iterdir()
    run: dict[str, object] = orjson.loads((found / "run.json").read_bytes())
    return run


def test_it_sends_over_its_own_network(tmp_path: Path) -> None:
    done = elsewhere(tmp_path, ENDS)
    run = record(tmp_path)
    assert run["verdict"] in SOUND, done.stderr
    *_, phase = run["phases"]  # type: ignore[misc]
    assert [each["address"] for each in phase["agents"]] == [AGENT]
    assert phase["window"]["answered"] == phase["window"]["requests"] > 0


def test_a_loopback_address_is_another_one_there(tmp_path: Path) -> None:
    done = elsewhere(tmp_path, LOOPBACK)
    assert done.returncode == 1, done.stdout
    (reason,) = record(tmp_path)["reasons"]  # type: ignore[misc]
    assert "it is on another machine, where http://127.0.0.1:8080 is not what" in reason
    assert "Traceback" not in done.stderr


def test_an_agent_that_reaches_no_server_says_so(tmp_path: Path) -> None:
    """The leader reaches it, and the server is not to blame."""
    done = elsewhere(tmp_path, UNREACHABLE)
    run = record(tmp_path)
    assert run["verdict"] == "invalid", done.stderr
    (reason,) = (each for each in run["reasons"] if AGENT in each)  # type: ignore[attr-defined]
    assert "error: 10.98.0.1 port 8080: " in reason


def test_a_cut_cable_marks_the_run(tmp_path: Path) -> None:
    done = elsewhere(tmp_path, CUT)
    run = record(tmp_path)
    assert run["verdict"] == "invalid", done.stderr
    assert any(f"at {AGENT} was lost" in reason for reason in run["reasons"])  # type: ignore[attr-defined]
    assert done.returncode == 1, done.stderr
