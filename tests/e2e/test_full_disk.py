"""A disk that fills up under a run: one line, nothing lost, nothing left behind."""

import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from support.agents import ENVIRONMENT
from support.bench_command import RUN_TIMEOUT_S
from support.truth_serving import server

from bench.records.samples import Reader

WORKLOAD = '[[request]]\noperation = "root"\npath = "/"\n'
ENDED_S = 60
"""From when the disk is full: once that hung for more than 100 s."""
SCRIPT = """
set -e
mount -t tmpfs -o size={size_mib}m tmpfs "$1"
cd "$2"
"$3" -m bench run --quick --target "$4" --workload "$5" \\
    --rate 200 --duration 30 --out "$1/results" \\
    2> "$6/stderr" > "$6/stdout" &
bench=$!
until ls "$1"/results/*/samples-open-0.bin 2> /dev/null; do
    kill -0 $bench || break
    sleep 0.1
done
head -c {filler_mib}M /dev/zero > "$1/filler" || true
for _ in $(seq {polls}); do
    kill -0 $bench 2> /dev/null || break
    sleep 0.1
done
kill -KILL $bench 2> /dev/null || true
code=0
wait $bench || code=$?
echo $code > "$6/code"
rm -f "$1/filler"
cp -r "$1/results" "$6/results" || true
"""

AGENT = """
set -e
mount -t tmpfs -o size=1m tmpfs "$1"
TMPDIR="$1" "$2" -m bench agent --listen 127.0.0.1:0 2> "$3/agent.log" &
agent=$!
until grep -q "agent on" "$3/agent.log"; do
    kill -0 $agent
    sleep 0.1
done
address=$(sed 's/agent on //' "$3/agent.log")
bench() {
    "$2" -m bench run --quick --target "$4" --workload "$5" --rate 50 --out "$3/results" \\
        --agents "$address" 2> "$3/stderr" > "$3/stdout"
}
bench "$@" || true  # Python chooses a folder for temporary files once, and never a full one
head -c 2M /dev/zero > "$1/filler" 2> /dev/null || true
code=0
bench "$@" || code=$?
kill $agent
echo $code > "$3/code"
"""


def in_a_small_disk(tmp_path: Path, url: str, size_mib: int, filler_mib: int) -> Path:
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    kept.mkdir()
    workload = tmp_path / "workload.toml"
    workload.write_text(WORKLOAD)
    project = Path(__file__).resolve().parents[2]
    script = SCRIPT.format(size_mib=size_mib, filler_mib=filler_mib, polls=10 * ENDED_S)
    command = ["unshare", "--map-root-user", "--mount", "bash", "-c", script, "-"]
    arguments = [disk, project, sys.executable, url, workload, kept]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=RUN_TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    return kept


@pytest.mark.parametrize("filler_mib", [40, 200])
def test_what_was_recorded_is_kept(tmp_path: Path, filler_mib: int) -> None:
    """Nearly full ends the load in time; full at once leaves what could be written."""
    with server() as url:
        kept = in_a_small_disk(tmp_path, url, size_mib=100, filler_mib=filler_mib)
    assert (kept / "code").read_text().strip() == "1"
    told = (kept / "stderr").read_text()
    assert "Traceback" not in told
    (folder,) = (kept / "results").iterdir()
    samples = [Reader(path).read() for path in folder.glob("samples-*.bin")]
    assert sum(map(len, samples)) > 0
    if filler_mib == 40:
        run = orjson.loads((folder / "run.json").read_bytes())
        assert run["verdict"] == "invalid"
        assert "is full: " in run["reasons"][0]
    else:
        assert told.count("error: ") == 1


def test_a_disk_that_is_full_before(tmp_path: Path) -> None:
    with server() as url:
        kept = in_a_small_disk(tmp_path, url, size_mib=30, filler_mib=0)
    assert (kept / "code").read_text().strip() == "1"
    (line,) = (kept / "stderr").read_text().splitlines()
    assert line.startswith("error: the disk of ")


def test_an_agent_s_disk_that_is_full(tmp_path: Path) -> None:
    """The leader was told that the agent closed the connection."""
    disk, workload = tmp_path / "disk", tmp_path / "workload.toml"
    disk.mkdir()
    workload.write_text(WORKLOAD)
    command = ["unshare", "--map-root-user", "--mount", "bash", "-c", AGENT, "-", str(disk)]
    with server() as url:
        done = subprocess.run(
            [*command, sys.executable, str(tmp_path), url, str(workload)],
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            env=ENVIRONMENT,
        )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "code").read_text().strip() == "1"
    told = (tmp_path / "stderr").read_text() + (tmp_path / "stdout").read_text()
    assert "it refused: its machine: No space left on device" in told
    assert "Traceback" not in told + (tmp_path / "agent.log").read_text()
