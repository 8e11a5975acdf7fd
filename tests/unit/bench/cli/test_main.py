"""The command line: its help, its exit codes, and what it says of wrong usage."""

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from support.made_sets import a_set, write_set

from bench.cli import main
from bench.cli.arguments import percent, url
from bench.cli.main import PLACES, PROGRAM, call, commands, parser
from bench.errors import COMPARISON_EXITS, RUN_EXITS, BenchError, ExitCode
from machine.arguments import address, positive, real, whole
from machine.errors import StackError


def paths() -> Iterator[tuple[str, ...]]:
    """The words of each command; of one with parts, its own and each part's."""
    yield ()
    for command in commands():
        yield (command.name,)
        yield from ((command.name, part.name) for part in command.parts)


# ---- help


@pytest.mark.parametrize("words", [*paths()], ids=" ".join)
def test_help_ends_with_an_example_that_the_parser_takes(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        call([*words, "--help"])
    assert ended.value.code == 0
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    command = last.removeprefix(f"example: {PROGRAM} ")
    assert command != last
    arguments = shlex.split(command)
    assert tuple(arguments[: len(words)]) == words
    assert callable(parser(commands()).parse_args(arguments).run)


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call(["--help"])
    text = capsys.readouterr().out
    assert all(f"{code.value} {code.words}" in text for code in ExitCode)


def test_a_command_is_known_by_its_name() -> None:
    assert [command.name for command in commands()] == [*PLACES]
    assert [command.name for command in commands("capacity")] == ["capacity"]
    assert commands("nothing") == commands(None) == commands()


# ---- exit codes


def test_every_verdict_has_its_exit_code() -> None:
    assert RUN_EXITS.keys() == {"valid", "failed", "invalid", "void", "interrupted"}
    assert [code for code in COMPARISON_EXITS.values() if not code] == [0, 0]
    codes = list(COMPARISON_EXITS.values())[2:]
    assert len(set(codes)) == len(codes)
    assert not {*codes} & {*RUN_EXITS.values(), ExitCode.USAGE, ExitCode.STACK_FAILED}


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "interrupted"),
        (StackError("no memory"), ExitCode.STACK_FAILED, "error: no memory"),
        (BenchError("others use it"), ExitCode.FAILED, "error: others use it"),
        (OSError(28, "No space", "run.json"), ExitCode.FAILED, "error: run.json: No space"),
    ],
)  # fmt: skip
def test_what_ends_a_command_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    code: ExitCode,
    line: str,
) -> None:
    def run(args: argparse.Namespace) -> int:
        raise raised

    command = commands("run")[0]._replace(run=run, plan=None)
    monkeypatch.setattr(main, "commands", lambda wanted: (command,))
    assert call(["run"]) == code
    assert capsys.readouterr().err.splitlines() == [line]


# ---- wrong usage


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "required: COMMAND"),
        ("measure", "invalid choice: 'measure'"),
        ("run --users 0", "'0': users from 1 to 4000"),
        ("run --users 8,8", "each number of users once"),
        ("run --users ²", "users from 1 to"),
        ("run --seed 99999999999999999999", "a seed from 0 to 2147483647"),
        ("run --duration nan", "above 0, at most 600"),
        ("run --zipf -1", "from 0 to 5"),
        ("run --rate 5 --users 3", "not allowed with"),
        ("run --target ftp://here", "http://HOST:PORT or https://HOST:PORT"),
        ("run --target http://127.0.0.1:99999", "port out of range 0-65535"),
        ("run --target http://127.0.0.1:0", "no server has port 0"),
        ("run --target http://user:secret@127.0.0.1:80", "a URL with a user or a password"),
        ("run --target http://127.0.0.1/?a=b", "without ? and #"),
        ("run --max-failed 101%", "from 0 to 100"),
        ("run --max-failed -1", "from 0 to 100"),
        ("run --p99-ms 0", "above 0, at most 60000"),
        ("capacity --p99-ms 0", "above 0, at most 60000"),
        ("probe --target https://127.0.0.1", "a gateway is reached by http://"),
        ("probe nothing", "no probe 'nothing': there are http"),
        ("probe --kafka 127.0.0.1", "is not of the form HOST:PORT"),
        ("probe --kafka 127.0.0.1:99999", "a port from 1 to 65535"),
        ("calibrate nothing", "no part 'nothing': there are ceiling"),
        ("calibrate --duration 1", "from 4 to 60"),
        ("costs", "required: NAME"),
        ("costs a --users 0", "users from 1 to 4096"),
        ("error-rates", "required: COMMAND"),
        ("error-rates record x --rounds 0", "rounds from 1 to 100"),
        ("locust --web-port 65536", "a port from 0 to 65535"),
    ],
)
def test_a_wrong_value_is_one_line(
    capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        call(shlex.split(line))
    assert ended.value.code == ExitCode.USAGE
    (told,) = capsys.readouterr().err.splitlines()
    assert says in told
    assert "secret" not in told
    assert told.endswith("--help")


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("run --zipf 1", ExitCode.USAGE, "--zipf is for --scenario checkout"),
        ("run --basket 3", ExitCode.USAGE, "--basket is for --scenario checkout"),
        ("run --rate 9 --record-bytes 99", ExitCode.USAGE, "--record-bytes is for --kafka"),
        ("capacity --zipf 1", ExitCode.USAGE, "--zipf is for --scenario checkout"),
        ("locust --zipf 1", ExitCode.USAGE, "--zipf is for --scenario checkout"),
        ("run --locust", ExitCode.USAGE, "--locust is for --rate"),
        ("run --rate fast", ExitCode.USAGE, "--rate 'fast'"),
        ("run --workload none.toml", ExitCode.USAGE, "--workload needs the --target"),
        ("run --target http://127.0.0.1:9 --workload none.toml", ExitCode.UNREADABLE, "none.toml"),
        ("run --target https://127.0.0.1", ExitCode.USAGE, "https:// needs a --workload"),
        ("run --ca a.pem", ExitCode.USAGE, "for a --target of https"),
        ("run --out {file}/results", ExitCode.FAILED, "cannot write to {file}/results"),
        ("capacity --out {file}", ExitCode.FAILED, "cannot write to {file}"),
        ("probe --out {file}", ExitCode.FAILED, "cannot write to {file}"),
        ("report {folder}", ExitCode.UNREADABLE, "cannot read {folder}/run.json"),
        ("compare a b --out {file}", ExitCode.FAILED, "cannot write to {file}"),
        ("compare a b --budgets none", ExitCode.UNREADABLE, "cannot read none"),
        ("compare a b --aa {folder}", ExitCode.UNREADABLE, "a spread needs at least 10"),
        ("costs a a", ExitCode.USAGE, "one stack, or two different ones"),
        ("costs no-such-stack", ExitCode.FAILED, "no stack no-such-stack is up"),
        ("history {folder} --out {file}/page.html", ExitCode.FAILED, "cannot write to {file}"),
        ("regression no-such-commit", ExitCode.USAGE, "no commit no-such-commit"),
        ("regression HEAD --rate 0.1", ExitCode.USAGE, "0.5 requests, 1 to"),
        ("regression HEAD --rate 0.00001", ExitCode.USAGE, "--rate and --duration: "),
        ("bisect HEAD^ HEAD --rate 0.1", ExitCode.USAGE, "--rate and --duration: "),
        ("regression HEAD --service {folder}", ExitCode.USAGE, "--service and --workload go"),
        ("regression HEAD --workload x", ExitCode.USAGE, "--service and --workload go together"),
        (
            "regression HEAD --service {folder} --workload {file}",
            ExitCode.USAGE,
            "--service {folder} has no package: pyproject.toml is missing",
        ),
        ("regression HEAD --results {file}", ExitCode.FAILED, "cannot write to {file}"),
        ("regression HEAD --out {file} --results {folder}", ExitCode.FAILED, "cannot write to"),
        ("error-rates record {file}", ExitCode.FAILED, "cannot write to {file}"),
        ("error-rates record x --commit none", ExitCode.USAGE, "no commit none"),
        ("error-rates resample {folder}", ExitCode.UNREADABLE, "cannot read {folder}/budgets.toml"),
        ("error-rates unchanged {file}", ExitCode.FAILED, "cannot write to {file}"),
        ("bisect no-such-commit", ExitCode.USAGE, "no commit no-such-commit"),
        ("bisect HEAD HEAD --results {file}", ExitCode.FAILED, "cannot write to {file}"),
        ("bisect HEAD HEAD --results {folder}", ExitCode.USAGE, "changes what is measured"),
    ],
)
def test_what_a_person_can_do_wrong_is_said_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, code: ExitCode, says: str
) -> None:
    places = {"file": tmp_path / "file", "folder": tmp_path / "folder"}
    places["file"].touch()
    places["folder"].mkdir()
    assert call(shlex.split(line.format_map(places))) == code
    *_, told = capsys.readouterr().err.splitlines()
    assert told.startswith("error: ")
    assert says.format_map(places) in told


@pytest.mark.parametrize(
    "line", ["regression HEAD --service {folder}", "compare a b --budgets none"]
)
def test_no_comparison_is_left_of_an_earlier_one(tmp_path: Path, line: str) -> None:
    """CI reads the exit code from a file: a commit that did not start passed by yesterday's."""
    out, kept = tmp_path / "out", tmp_path / "out" / "notes.txt"
    a, b = (write_set(tmp_path / side, a_set(side, 8)) for side in "AB")
    assert call(["compare", str(a), str(b), "--out", str(out)]) in COMPARISON_EXITS.values()
    assert {path.name for path in out.iterdir()} >= {"comparison.json", "comment.md", "junit.xml"}
    kept.touch()
    (out / "benchmark-bigger.json").touch()
    words = shlex.split(line.format(folder=tmp_path))
    assert call([*words, "--out", str(out)]) in (ExitCode.USAGE, ExitCode.UNREADABLE)
    assert [*out.iterdir()] == [kept]


# ---- types of arguments


def test_the_edges_of_numbers() -> None:
    assert [whole("n", 9)(text) for text in ("1", "9")] == [1, 9]
    assert [real(2, 0)(text) for text in ("0", "2")] == [0, 2]
    assert positive(2)("2") == 2
    for parse, text in ((whole("n", 9), "10"), (real(2, 0), "-0.1"), (positive(2), "0")):
        with pytest.raises(argparse.ArgumentTypeError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://HOST:65535/", "http://host:65535"),
        ("https://[::1]:443/a b/", "https://[::1]:443/a%20b"),
        ("http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"),
    ],
)
def test_a_url_as_it_is_asked(text: str, found: str) -> None:
    assert url(text) == found
    assert url(found) == found


@pytest.mark.parametrize("text", ["", "http://", "http://:80", "http://[::1", "http://a:x", "a:1"])
def test_no_url(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        url(text)


@pytest.mark.parametrize(("text", "share"), [("0.1%", 0.001), ("0.1", 0.001), ("100", 1)])
def test_a_percentage(text: str, share: float) -> None:
    assert percent(text) == pytest.approx(share)


def test_an_address() -> None:
    assert address("broker-1.local:9092") == "broker-1.local:9092"
    for text in ("", ":9092", "a/b:1", "a:0", "a:65536", "a:"):
        with pytest.raises(argparse.ArgumentTypeError):
            address(text)


# ---- JSON


def test_a_comparison_and_a_history_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = write_set(tmp_path / "a", a_set("A", 3)), write_set(tmp_path / "b", a_set("B", 3))
    code = call(["compare", str(a), str(b), "--json", "--out", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert orjson.loads(printed.out)["exit_code"] == code
    assert printed.out == (tmp_path / "out" / "comparison.json").read_text()
    assert printed.err.startswith("written: ")
    page = tmp_path / "new" / "page.html"
    assert call(["history", str(tmp_path / "b"), "--json", "--out", str(page)]) == 0
    found = orjson.loads(capsys.readouterr().out)
    assert found["runs"] == 3
    assert found["series"][0]["points"][0]["commit"] == "bbbbbbbbbb"
    assert page.exists()
