"""The runtime's parts that need no JVM."""

import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from machine import cache, ports
from machine.errors import StackError
from system import __main__ as command_line
from system.runtime import flink_cluster, programs, registry, settings
from system.runtime.class_archive import ClassArchive
from system.runtime.options import StackOptions
from system.runtime.settings import Heaps
from system.runtime.stack import Stack

ROOT = Path(__file__).parents[4]
ENTRY = registry.Entry(
    name="shop",
    pid=1,
    url="http://127.0.0.1:1",
    urls=["http://127.0.0.1:1"],
    bootstrap_servers="127.0.0.1:2",
    flink_rest="127.0.0.1:3",
    data_dir="/data",
    pids={"kafka": [7, 8], "gateway": []},
)


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class TestCache:
    def test_the_variable_comes_first(self, cache_dir):
        assert cache.cache_dir() == cache_dir

    def test_then_xdg_if_absolute_then_home(self, monkeypatch, tmp_path):
        monkeypatch.delenv("KAFLINKSHOP_CACHE")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_CACHE_HOME", "/var/xdg")
        assert cache.cache_dir() == Path("/var/xdg/kaflinkshop")
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache.cache_dir() == tmp_path / ".cache" / "kaflinkshop"

    def test_a_lock_is_held_once(self, tmp_path):
        path = tmp_path / "lock"
        assert not cache.is_held(path)
        with cache.lock(path, wait=False):
            assert cache.is_held(path)
            with pytest.raises(cache.LockHeldError), cache.lock(path, wait=False):
                pass
        assert not cache.is_held(path)


class TestPorts:
    def test_a_taken_port_is_named_with_the_option(self):
        with socket.create_server((ports.HOST, 0)) as server:
            taken = server.getsockname()[1]
            with pytest.raises(StackError, match=f"^port {taken} is taken: .* --port"):
                ports.choose(taken, "--port")

    def test_zero_is_a_free_one(self):
        port = ports.choose(0, "--port")
        assert ports.is_free(port)
        assert ports.choose(port, "--port") == port

    @pytest.fixture
    def usual(self, cache_dir):
        return ports.Usual(ports.choose(0, ""), "the gateway")

    def test_the_usual_one_where_it_is_free(self, usual):
        said = []
        with ports.hold(None, usual, "--port", said.append) as port:
            assert (port, said) == (usual.port, [])

    def test_another_where_somebody_listens_there(self, usual):
        said = []
        with (
            socket.create_server((ports.HOST, usual.port)),
            ports.hold(None, usual, "--port", said.append) as port,
        ):
            assert said == [f"port {usual.port} is taken: the gateway is at port {port}"]
            assert port != usual.port
            assert ports.is_free(port)

    def test_two_that_start_at_once_get_two(self, usual):
        with (
            ports.hold(None, usual, "--port", print) as first,
            ports.hold(None, usual, "--port", print) as second,
        ):
            assert first == usual.port != second
        with ports.hold(None, usual, "--port", print) as again:
            assert again == usual.port

    def test_what_was_asked_for_is_taken_or_refused(self, usual):
        with ports.hold(usual.port, usual, "--port", print) as port:
            assert port == usual.port
        with ports.hold(0, usual, "--port", print) as port:
            assert ports.is_free(port)
        with (
            socket.create_server((ports.HOST, usual.port)),
            pytest.raises(StackError, match=f"^port {usual.port} is taken: .* --port"),
            ports.hold(usual.port, usual, "--port", print),
        ):
            pass

    def test_none_is_left(self, monkeypatch):
        monkeypatch.setattr(ports, "is_free", lambda port: False)
        with pytest.raises(StackError, match="no free port"):
            ports.choose(0, "--port")


class TestSettings:
    CONFIGURATION = settings.flink_configuration(
        ("127.0.0.1", 1), ("127.0.0.1", 2), "127.0.0.1", "file:///checkpoints", Heaps()
    )

    def test_yaml_comes_back(self):
        assert yaml.safe_load(settings.render_yaml(self.CONFIGURATION)) == self.CONFIGURATION

    def test_properties(self):
        assert settings.render_properties({"a.b": "c=d", "e": ""}) == "a.b=c=d\ne=\n"

    def test_only_loopback_by_default(self):
        properties = settings.kafka_properties(("127.0.0.1", 1), ("127.0.0.1", 2), "/log")
        rendered = settings.render_yaml(self.CONFIGURATION) + settings.render_properties(properties)
        assert "0.0.0.0" not in rendered
        assert properties["listeners"] == properties["advertised.listeners"]

    def test_containers_bind_all_and_advertise_a_name(self):
        properties = settings.kafka_properties(("kafka", 1), ("kafka", 2), "/log", "0.0.0.0")
        assert properties["listeners"] == "PLAINTEXT://0.0.0.0:1,CONTROLLER://0.0.0.0:2"
        assert properties["advertised.listeners"] == "PLAINTEXT://kafka:1,CONTROLLER://kafka:2"

    def test_three_brokers_have_three_copies_of_which_one_may_be_lost(self):
        controllers = [("127.0.0.1", port) for port in (1, 2, 3)]
        found = settings.kafka_properties(
            ("127.0.0.1", 9), controllers[1], "/log", node_id=2, controllers=controllers
        )
        assert found["node.id"] == "2"
        assert found["controller.quorum.voters"] == "1@127.0.0.1:1,2@127.0.0.1:2,3@127.0.0.1:3"
        assert "controller.quorum.bootstrap.servers" not in found
        for name, value in found.items():
            if name.endswith("replication.factor"):
                assert value == "3", name
            if name.endswith(("min.isr", "min.insync.replicas")):
                assert value == "2", name

    def test_the_heap_is_what_was_asked_for(self):
        task, framework = (
            int(str(self.CONFIGURATION[f"taskmanager.memory.{part}.heap.size"])[:-1])
            for part in ("task", "framework")
        )
        assert task + framework == Heaps().taskmanager


class TestCheckpoints:
    def test_the_newest_complete_one_counts(self, tmp_path):
        assert flink_cluster.newest_checkpoint(tmp_path / "none") is None
        for name, is_complete in (("chk-9", True), ("chk-10", True), ("chk-11", False)):
            (tmp_path / name).mkdir()
            if is_complete:
                (tmp_path / name / "_metadata").touch()
        assert flink_cluster.newest_checkpoint(tmp_path) == tmp_path / "chk-10"

    def test_one_that_is_finished_meanwhile_is_found(self, tmp_path, monkeypatch):
        """The one that was listed had gone for it, and a healthy stack had lost its disk."""
        listed = [[], [tmp_path / "chk-6" / "_metadata"]]
        monkeypatch.setattr(Path, "glob", lambda *_: listed.pop(0))
        assert flink_cluster.newest_checkpoint(tmp_path) == tmp_path / "chk-6"


class TestClassArchive:
    def archive(self, tmp_path) -> ClassArchive:
        return ClassArchive("kafka", [Path("/a.jar")], tmp_path)

    @pytest.mark.parametrize(("exit_code", "kept"), [(143, 1), (0, 0), (-9, 0), (1, 0)])
    def test_it_is_kept_when_its_jvm_ended_in_order(self, cache_dir, tmp_path, exit_code, kept):
        (cache_dir / "classes").mkdir(parents=True)
        (tmp_path / "kafka.jsa").write_bytes(b"classes")
        self.archive(tmp_path).publish(exit_code)
        assert self.archive(tmp_path).records is (not kept)
        assert len(list((cache_dir / "classes").iterdir())) == kept

    def test_there_may_be_no_recording(self, tmp_path):
        self.archive(tmp_path).publish(143)
        assert self.archive(tmp_path).records


class TestRegistry:
    def test_a_stack_without_a_gateway_is_not_ready(self):
        url = f"http://{ports.HOST}:{ports.choose(0, '--port')}"
        assert not registry.is_ready(replace(ENTRY, urls=[url]))


class TestStack:
    @pytest.mark.parametrize(
        "options",
        [
            {"services": ("nope",)},
            {"parallelism": 0},
            {"parallelism": 65, "taskmanagers": 16},
            {"parallelism": 2, "taskmanagers": 3},
            {"parallelism": 4, "taskmanagers": 3},
            {"parallelism": 17, "taskmanagers": 17},
            {"partitions": 0},
            {"partitions": 65},
            {"topic_mib": 15},
            {"topic_mib": 2**20 + 1},
            {"known_mib": -1},
            {"known_mib": 65_537},
            {"window_s": 59},
            {"window_s": 86_401},
            {"timeout_s": 0.09},
            {"timeout_s": 60.1},
            {"brokers": 2},
            {"gateways": 0},
            {"gateways": 9},
            {"checkpoint_interval_s": 0.09},
            {"checkpoint_interval_s": 301},
            {"heaps": Heaps(1)},
        ],
    )
    def test_impossible_options(self, options):
        with pytest.raises(
            ValueError,
            match=r"nope|packed|s \d+ is|parallelism|checkpoint|heap|(topic|window|timeout) of",
        ):
            StackOptions(**options)

    def test_the_job_has_the_window(self):
        options = StackOptions(window_s=61)
        assert "--window-s 61" in " ".join(programs.job(options, "b:1", "thread"))

    def test_gateways_and_job_have_the_timeout(self):
        for options, words in (
            (StackOptions(), "--timeout-s 5.0"),
            (StackOptions(timeout_s=60), "--timeout-s 60"),
        ):
            assert words in " ".join(programs.job(options, "b:1", "thread"))
            assert words in " ".join(programs.gateway(options, "b:1", "http://h:1", 1))

    def test_the_most_of_all_is_possible(self):
        StackOptions(parallelism=64, taskmanagers=16, partitions=64, brokers=3, gateways=8)
        StackOptions(topic_mib=2**20)
        StackOptions(topic_mib=16)
        StackOptions(known_mib=65_536)
        StackOptions(window_s=60)
        StackOptions(window_s=86_400)

    @pytest.mark.parametrize("partitions", [1, 4, 64])
    @pytest.mark.parametrize("topic_mib", [16, 1024, 2**20])
    def test_a_topic_keeps_what_it_is_to_keep_whatever_its_age(self, topic_mib, partitions):
        """In all its partitions, and no segment may be so large that it is nearly all."""
        config = settings.topic_config(topic_mib, partitions)
        assert config["retention.ms"] == "-1"
        assert int(config["retention.bytes"]) * partitions == topic_mib * 2**20
        segment_bytes = int(config["segment.bytes"])
        assert 2**20 <= segment_bytes <= 2**30  # Kafka takes no smaller one, nor twice as much
        if 2**20 < segment_bytes < 2**30:
            assert segment_bytes * 8 == int(config["retention.bytes"])
        # An entry of 12 bytes for each 256 of records: the index is not full before the segment.
        index_bytes = int(config.get("segment.index.bytes", 10 * 2**20))
        assert index_bytes >= 10 * 2**20
        assert index_bytes // 12 >= segment_bytes // 256

    def test_clusters_that_exist_have_as_many_processes_as_they_have(self):
        options = StackOptions(brokers=3, parallelism=2, taskmanagers=2)
        options.check_clusters(None, None)
        with pytest.raises(StackError, match=r"--brokers is for .* KAFKA_BOOTSTRAP_SERVERS names"):
            options.check_clusters("a:1", None)
        with pytest.raises(StackError, match=r"--taskmanagers is for .* FLINK_REST names one"):
            options.check_clusters(None, "a:1")
        StackOptions(parallelism=64).check_clusters("a:1", "a:2")  # it may have the slots
        with pytest.raises(StackError, match="task slots"):
            StackOptions(parallelism=64).check_clusters("a:1", None)

    @pytest.mark.parametrize(
        "value", ["nowhere", "host:port", "http://host:80/", "a:1,b", "a:0", "a:65536"]
    )
    def test_a_cluster_is_named_by_host_and_port(self, monkeypatch, value):
        monkeypatch.setenv("FLINK_REST", value)
        with (
            pytest.raises(StackError, match=r"FLINK_REST=.* is not of the form host:port"),
            Stack(),
        ):
            pass

    def test_flink_is_one_address(self, monkeypatch):
        monkeypatch.setenv("FLINK_REST", "a:8081,b:8081")
        with pytest.raises(StackError, match=r"FLINK_REST=a:8081,b:8081 is not of "), Stack():
            pass

    def test_a_python_without_shared_library_is_said_and_worked_around(self, monkeypatch, tmp_path):
        said: list[str] = []
        monkeypatch.setattr(flink_cluster, "find_shared_libpython", lambda: None)
        # A folder that is not empty ends the start, right after the choice of the mode.
        stack = Stack(StackOptions(data_dir=ROOT / "tests"), progress=said.append)
        monkeypatch.setattr("system.runtime.jars.obtain", lambda name: [])
        with pytest.raises(StackError, match="is not empty"):
            stack.__enter__()
        assert stack.execution_mode == "process"
        assert "no shared libpython" in said[0]

    def test_this_python_is_looked_at(self):
        path = flink_cluster.find_shared_libpython()
        assert path is None or Path(path).exists()


class TestCommandLine:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["nope"],
            ["up", "--port", "x"],
            ["up", "--port", "65536"],
            ["up", "--workers", "0"],
            ["up", "--workers", "65"],
            ["up", "--taskmanagers", "17"],
            ["up", "--partitions", "65"],
            ["up", "--parallelism", "65"],
            ["up", "--gateways", "9"],
            ["up", "--brokers", "2"],
            ["rescale"],
            ["rescale", "--parallelism", "0"],
            ["up", "--name", "a/b"],
            ["up", "--gateway-option=--in-flight-max=0"],
            ["up", "--gateway-option=--send-s=nan"],
            ["up", "--gateway-option=--no-such=1"],
        ],
    )
    def test_wrong_usage(self, arguments, capsys):
        with pytest.raises(SystemExit) as caught:
            command_line.main(arguments)
        assert caught.value.code == 2
        assert capsys.readouterr().err.startswith("error: ")

    @pytest.mark.parametrize("words", [[], ["up"], ["status"], ["rescale"], ["down"]])
    def test_help_ends_with_an_example_that_the_parser_takes(self, words, capsys):
        with pytest.raises(SystemExit):
            command_line.parse([*words, "--help"])
        last = capsys.readouterr().out.rstrip().splitlines()[-1]
        example = last.removeprefix(f"example: {command_line.PROGRAM} ").split()
        assert example[: len(words)] == words
        assert callable(command_line.parse(example).command)

    def test_an_unknown_service_is_wrong_usage(self, capsys):
        assert command_line.main(["up", "--services", "user,nope"]) == 2
        assert capsys.readouterr().err.startswith("error: no service nope in claim, ")
        assert command_line.main(["up", "--port", "9000", "--kafka-port", "9000"]) == 2
        assert "are not all different" in capsys.readouterr().err

    @pytest.mark.parametrize("command", ["status", "down"])
    def test_a_stack_that_is_not_up(self, command, capsys):
        assert command_line.main([command, "--name", "shop"]) == 1
        assert capsys.readouterr().err == "no stack named shop is up\n"
        assert command_line.main([command, "--json"]) == 1
        assert capsys.readouterr().out == '{"up": false}\n'

    def test_a_name_in_use(self, capsys):
        with registry.reserve("shop"):
            assert command_line.main(["up", "--name", "shop"]) == 3
        assert capsys.readouterr().err.startswith("error: a stack named shop is running")

    def test_a_folder_that_can_not_be_made(self, capsys, monkeypatch, tmp_path):
        (tmp_path / "file").touch()
        monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path / "file" / "cache"))
        assert command_line.main(["up"]) == 3
        (line,) = capsys.readouterr().err.splitlines()
        assert line == f"error: {tmp_path}/file/cache: Not a directory"

    def test_a_row_for_each_part(self):
        rows = command_line.describe(ENTRY).splitlines()
        assert rows[-1] == "processes  kafka 7"

    def test_help_needs_no_heavy_import(self):
        source = (
            "import sys; from system.__main__ import parse\n"
            "parse(['up']); print(sorted({'asyncio', 'psutil', 'aiokafka'} & set(sys.modules)))"
        )
        command = [sys.executable, "-c", source]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.stdout == "[]\n"
