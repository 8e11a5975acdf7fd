"""`python -m system` as a person runs it: up, status, down, and every way to end."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import Request

import psutil
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from support.bench_command import bench
from support.running_up import OPENER, Adding, Clusters, Up, ask, get, own_up

from machine import ports
from machine.cache import cache_dir
from machine.http import HttpError, call
from system.kafka_admin import kafka_admin
from system.runtime.flink_cluster import newest_checkpoint
from system.runtime.flink_rest import Rest
from system.runtime.settings import KAFKA, file_uri
from system.runtime.stack import Stack


@pytest.fixture(scope="module")
def clusters(tmp_path_factory) -> Iterator[Clusters]:
    clusters = Clusters(tmp_path_factory.mktemp("clusters"))
    yield clusters
    clusters.supervisor.close()


@pytest.fixture
def up(until) -> Iterator[Up]:
    with own_up(until) as up:
        yield up


def test_every_part_runs_and_listens_on_loopback_only(stack: Stack):
    pids = stack.pids()
    assert set(pids) == set(PARTS)
    for part, ids in pids.items():
        listening = [
            connection.laddr.ip.removeprefix("::ffff:")
            for pid in ids
            for connection in psutil.Process(pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening, part
        assert set(listening) == {ports.HOST}, part


async def test_kafka_has_its_settings(stack: Stack):
    """Kafka starts with a name that it does not know, too: what it tells is what it has."""
    asked = ConfigResource(ConfigResourceType.BROKER, KAFKA["node.id"], dict.fromkeys(KAFKA))
    async with kafka_admin(bootstrap_servers=stack.bootstrap_servers) as admin:
        (response,) = await admin.describe_configs([asked])
    ((_, _, _, _, entries),) = response.resources
    assert {entry[0]: entry[1] for entry in entries} == KAFKA


def test_rocksdb_has_the_options_of_the_job(stack: Stack):
    """Its own words of them: a checkpoint is one flush of all states, without compression, and in
    each state twelve files are merged at once, and packed."""
    told = [file.read_text() for file in stack.data_dir.glob("flink/tmp/**/db/OPTIONS-*")]
    assert told
    for options in told:
        assert "atomic_flush=true" in options
        states = options.count("[CFOptions")
        assert states == options.count("level0_file_num_compaction_trigger=12")
        packed = "compression_per_level=kNoCompression:kSnappyCompression\n"
        assert states == options.count(packed)
        assert "compaction_style=kCompactionStyleUniversal" in options


def test_flinks_page_is_read_only(stack: Stack):
    page = f"http://{stack.flink_rest}"
    job = f"/jobs/{stack.job_id}"
    for verb, path in (
        ("POST", "/jars/upload"),
        ("POST", "/jobs"),
        ("POST", f"{job}/stop"),
        ("POST", f"{job}/savepoints"),
        ("PATCH", f"{job}?mode=cancel"),
        ("PUT", f"{job}/resource-requirements"),
        ("DELETE", "/cluster"),
        # These cancel and stop a job, for YARN, whose proxy takes GET alone.
        ("GET", f"{job}/yarn-cancel"),
        ("GET", f"/v1{job}/yarn-cancel?x=1"),
        ("GET", f"{job}/yarn%2Dcancel/"),
        ("GET", f"{job}/yarn-stop"),
    ):
        with pytest.raises(HttpError, match="answers 403"):
            call(verb, page + path, 30, {})
    request = Request(f"{page}/overview", headers={"Origin": "http://elsewhere.test"})
    with OPENER.open(request, timeout=30) as response:
        assert response.headers["Access-Control-Allow-Origin"] == page
    assert Rest(stack.flink_rest).is_running(stack.job_id)


PARTS = ("flink_taskmanager", "flink_jobmanager", "kafka", "gateway")


@pytest.mark.parametrize("killed", [PARTS, ("flink_jobmanager",)], ids=["all", "the JobManager"])
def test_what_was_killed_is_started_anew_and_nothing_is_lost(
    stack: Stack, until, killed: tuple[str, ...]
):
    """But for who supervises them; tests/faults kills one after the other. A TaskManager outlives
    its JobManager, and runs the next one's job."""
    before = stack.pids()
    with stack.restarts.in_thread(), Adding(stack.url) as adding:
        until(lambda: adding.answered >= 20)
        told = len(stack.restarts.events)
        for part in killed:
            os.kill(before[part][0], signal.SIGKILL)
        until(lambda: "ready" in [event.kind for event in stack.restarts.events[told:]])
        answered = adding.answered
        until(lambda: adding.answered >= answered + 20)
    assert get(f"{stack.url}/users/find/{adding.user_id}")["credit"] == adding.answered
    after = stack.pids()
    assert {part for part in PARTS if after[part][0] != before[part][0]} == set(killed)
    told_of = [(event.part, event.kind) for event in stack.restarts.events[told:]]
    for part in PARTS:
        kinds = [kind for name, kind in told_of if name == part]
        assert bool(kinds) == (part in killed)
        assert kinds == ["ended", "started"] * (len(kinds) // 2)
    assert told_of[-1] == ("stack", "ready")


def test_two_stacks_side_by_side_and_down(stack: Stack, up: Up, until):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        up.start("--workers", "2")  # as nohup does it
    finally:
        signal.signal(signal.SIGHUP, before)
    status = up.until_up()
    assert up.process is not None
    up.process.send_signal(signal.SIGHUP)
    until(lambda: (up.status() or {}).get("ready"))
    assert status["url"] != stack.url
    assert get(f"{status['url']}/echo/side")["echo_id"] == "side"
    assert get(f"{stack.url}/echo/by-side")["echo_id"] == "by-side"
    assert up.run("up")[0] == 3  # the name is in use
    data_dir = Path(str(status["data_dir"]))
    assert data_dir.is_dir()
    assert up.run("down") == (0, f"the stack {up.name} has ended\n", "")
    code, output, errors = up.ended()
    assert (code, errors) == (0, "")
    assert f"ready at {status['url']}" in output
    assert not data_dir.exists()
    assert up.status() is None


def test_a_data_folder_outlives_its_stacks(up: Up, until, tmp_path):
    """Wherever the folder is: Flink took a space or an accent for its escape, and kept the state in
    another folder, where nobody looked for it."""
    data = tmp_path / "my d\u00e0ta %20"
    chosen = ("--data-dir", str(data))
    up.start(*chosen)
    status = up.until_up()
    with Adding(str(status["url"])) as adding:
        until(lambda: adding.answered >= 20)
        until(lambda: (data / "has-checkpoints").exists())
        # One part alone is started anew.
        (taskmanager, *_) = status["pids"]["flink_taskmanager"]
        os.kill(taskmanager, signal.SIGKILL)
        until(lambda: up.pids("flink_taskmanager") not in ([], [taskmanager]))
        answered = adding.answered
        until(lambda: adding.answered >= answered + 20)
        # All at once are not, but what was answered is there.
        adding.stop()
        assert up.ended(signal.SIGKILL)[0] == -signal.SIGKILL

    up.start(*chosen)
    status = up.until_up()
    user = f"{status['url']}/users/find/{adding.user_id}"
    assert get(user)["credit"] == adding.answered
    assert up.run("down")[0] == 0
    code, output, errors = up.ended()
    assert (code, errors) == (0, "")
    assert f"going on with the data of an earlier stack in {data}" in output
    assert [path.name for path in tmp_path.iterdir()] == [data.name]

    # A disk that is not mounted is missed: what it has would be begun anew.
    for place in (data / "kafka" / "log", data / "flink" / "checkpoints"):
        disk = place.rename(tmp_path / "disk")
        place.mkdir()
        assert_one_line(
            up.run("up", *chosen), "has lost what this stack kept there: mount its disk"
        )
        place.rmdir()
        disk.rename(place)
    assert_one_line(up.run("up", "--brokers", "3", *chosen), "with brokers 1, not 3: bring")
    up.start(*chosen)
    status = up.until_up()
    user = f"{status['url']}/users/find/{adding.user_id}"
    assert get(user)["credit"] == adding.answered
    assert up.ended(signal.SIGTERM)[0] == 0


def test_existing_clusters_are_used_and_left_as_they_were(
    clusters: Clusters, up: Up, until, tmp_path
):
    echo_and_users = ("--services", "echo,claim,user", "--topic-prefix", "guest.")
    up.start(*echo_and_users, **clusters.environment)
    status = up.until_up()
    assert list(status["pids"]) == ["gateway"]
    assert {key: status[key] for key in ("bootstrap_servers", "flink_rest")} == {
        "bootstrap_servers": clusters.environment["KAFKA_BOOTSTRAP_SERVERS"],
        "flink_rest": clusters.environment["FLINK_REST"],
    }
    with Adding(str(status["url"])) as adding:
        until(lambda: adding.answered >= 20)
    drawn = bench("costs", up.name, "--flames", str(tmp_path / "flames"))  # at once
    assert (drawn.returncode, drawn.stdout) == (1, "")
    assert drawn.stderr == f"error: {up.name} runs no TaskManager of its own: leave --flames out\n"
    first = clusters.running()
    assert len(first) == 1

    # Nobody else may have these topics: no other stack here, nor one on another machine.
    with own_up(until) as other:
        answer = other.run("up", "--port", "0", *echo_and_users, **clusters.environment)
        assert_one_line(answer, "another stack uses the topics of Kafka's cluster")
        elsewhere = tmp_path / "cache"
        elsewhere.mkdir()
        (elsewhere / "jars").symlink_to(cache_dir() / "jars")
        environment = clusters.environment | {"KAFLINKSHOP_CACHE": str(elsewhere)}
        answer = other.run("up", "--port", "0", *echo_and_users, **environment)
        assert_one_line(answer, "runs on these topics already, and no stack of this machine has")
    assert clusters.running() == first

    # The job outlives its stack, and the next one goes on from it.
    assert up.ended(signal.SIGKILL)[0] == -signal.SIGKILL
    assert clusters.running() == first
    for lines in ("has outlived its stack: stopping it", ", going on from file:/"):
        up.start(*echo_and_users, **clusters.environment)
        status = up.until_up()
        assert len(clusters.running()) == 1
        assert clusters.running() != first
        user = f"{status['url']}/users/find/{adding.user_id}"
        assert get(user)["credit"] == adding.answered
        assert up.run("down")[0] == 0
        code, output, errors = up.ended()
        assert (code, errors) == (0, "")
        assert lines in output
        assert "the job is stopped, with the savepoint file:/" in output
        assert clusters.running() == []

    # State of another form is refused: where the job is known, and by Flink where it is not.
    savepoint = output.rpartition("with the savepoint ")[2].strip()
    other = ("--port", "0", "--execution-mode", "process", *echo_and_users)
    answer = up.run("up", *other, **clusters.environment)
    assert_one_line(answer, "the state of these topics' last job has another form (layout")
    answer = up.run("up", *other, "--savepoint", savepoint, **environment)
    assert_one_line(answer, "Cannot map checkpoint/savepoint state for operator")
    assert clusters.running() == []


def test_a_state_that_went_to_another_flink_is_not_gone_on_from(
    clusters: Clusters, up: Up, until, tmp_path: Path
):
    """Its credit would be that of before the move, and each request since then applied again."""
    services = ("--services", "echo,claim,user", "--topic-prefix", "moved.")
    own = (*services, "--data-dir", str(tmp_path / "data"))
    checkpoints = tmp_path / "data" / "flink" / "checkpoints"
    kafka = {"KAFKA_BOOTSTRAP_SERVERS": clusters.environment["KAFKA_BOOTSTRAP_SERVERS"]}
    for before in (0, 1):
        if before:  # a start that comes to nothing takes nothing over
            wrong = ("--port", "0", "--savepoint", file_uri(tmp_path / "nowhere"))
            answer = up.run("up", *services, *wrong, **clusters.environment)
            assert_one_line(answer, "nowhere")
        up.start(*own, **kafka)
        url = up.until_up()["url"]
        if not before:
            user_id = ask("POST", f"{url}/users/create")["user_id"]
        assert ask("POST", f"{url}/users/credit/add/{user_id}/1")["credit"] == before + 1
        until(lambda: list(checkpoints.glob("*/chk-*/_metadata")))
        assert up.ended(signal.SIGTERM)[0] == 0
    (job,) = checkpoints.iterdir()
    moved = ("--savepoint", file_uri(newest_checkpoint(job)))
    answer = up.run("up", "--port", "0", *services, **clusters.environment)
    assert_one_line(answer, "whose state is not known: name its savepoint or checkpoint with")
    up.start(*services, *moved, **clusters.environment)
    url = up.until_up()["url"]
    assert ask("POST", f"{url}/users/credit/add/{user_id}/1")["credit"] == 3
    assert up.ended(signal.SIGTERM)[0] == 0
    answer = up.run("up", "--port", "0", *own, **kafka)
    assert_one_line(answer, "the newest state of these topics is that of the job on the Flink at")
    up.start(*services, **clusters.environment)
    url = up.until_up()["url"]
    assert get(f"{url}/users/find/{user_id}")["credit"] == 3
    assert up.ended(signal.SIGTERM)[0] == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 0), (signal.SIGINT, 130)]
)
def test_no_process_is_left_of_a_start_that_was_ended(up: Up, until, number: int, code: int):
    up.start()
    # The guard, JobManager, TaskManager and Kafka (or what formats its folder).
    until(lambda: len(up.look()) >= 4)
    assert up.ended(number)[0] == code
    assert up.status() is None


def test_a_stack_that_is_starting_is_told_of_and_ended(up: Up, until):
    assert up.run("down") == (1, "", f"no stack named {up.name} is up\n")
    up.start()
    until(lambda: len(up.look()) >= 4)
    assert up.run("status") == (1, "", f"the stack {up.name} is starting, and not up yet\n")
    assert up.run("down") == (0, f"the stack {up.name} has ended\n", "")
    assert up.ended()[0] == 0
    assert up.status() is None


def assert_one_line(answer: tuple[int, str, str], expected: str) -> None:
    code, _, errors = answer
    assert code == 3
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert expected in errors


def test_a_port_that_is_taken(stack: Stack, up: Up):
    port = stack.url.rpartition(":")[2]
    assert_one_line(up.run("up", "--port", port), f"port {port} is taken")


def test_a_jvm_that_does_not_start(up: Up):
    answer = up.run("up", "--port", "0", JAVA_TOOL_OPTIONS="-XX:+NoSuchOption")
    assert_one_line(answer, "NoSuchOption")


def test_too_little_memory(up: Up):
    answer = up.run("up", "--port", "0", "--taskmanager-heap-mib", str(2**30))
    assert_one_line(answer, "of memory are available, a stack needs")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("KAFLINKSHOP_TOKEN_FILE", "/no/such", "KAFLINKSHOP_TOKEN_FILE can't be read: No such"),
        ("KAFLINKSHOP_TOKEN", "two words", "KAFLINKSHOP_TOKEN is no token"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "KAFKA_SECURITY_PROTOCOL is not one of"),
    ],
)
def test_a_secret_that_can_not_be_had(up: Up, name: str, value: str, told: str):
    """Kafka and Flink had come up for a gateway that ended for it."""
    code, output, errors = up.run("up", "--port", "0", **{name: value})
    assert (code, output) == (3, "")
    assert errors.startswith(f"error: {told}")


def test_no_network_at_the_first_start(up: Up, tmp_path):
    proxy = f"http://{ports.HOST}:{ports.choose(0, '--port')}"
    environment = dict.fromkeys(("https_proxy", "HTTPS_PROXY"), proxy)
    answer = up.run("up", "--port", "0", KAFLINKSHOP_CACHE=str(tmp_path), **environment)
    assert_one_line(answer, "the first start needs a network")


MISSING = {
    "KAFKA_BOOTSTRAP_SERVERS": "cannot create topics at",
    "FLINK_REST": "a TaskManager of",
}


@pytest.fixture(scope="module")
def refusals(stack: Stack, until) -> dict[str, tuple[int, str, str]]:
    """What ``up`` says where one of two clusters is not there; both wait side by side."""
    there = {"KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers, "FLINK_REST": stack.flink_rest}
    nowhere = f"{ports.HOST}:{ports.choose(0, '--port')}"
    with ExitStack() as ending:
        started = {}
        for variable in MISSING:
            started[variable] = ending.enter_context(own_up(until))
            started[variable].start(**{**there, variable: nowhere})
        return {variable: up.ended() for variable, up in started.items()}


@pytest.mark.parametrize(("variable", "expected"), MISSING.items())
def test_an_existing_cluster_that_is_not_there(refusals, variable: str, expected: str):
    assert_one_line(refusals[variable], expected)
