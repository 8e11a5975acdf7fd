"""What the command says of wrong usage, before anything starts."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bench.cli.main import call
from bench.errors import ExitCode
from bench.faults import campaign
from bench.faults.campaign import Campaign
from bench.faults.judgement import Found
from bench.records.run_record import CommitRecord
from bench.report import build
from bench.result_files import to_json
from machine.whole_files import write


def test_a_page_without_a_place_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    for text, told in (("# A\n", "no place between"), (None, "No such file")):
        page.unlink(missing_ok=True)
        if text is not None:
            page.write_text(text)
        code = call(["faults", "poison", "--doc", str(page), "--out", str(tmp_path / "out")])
        assert code == ExitCode.USAGE
        assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_fault_that_lasts_too_long_is_refused(tmp_path: Path) -> None:
    arguments = ["faults", "pause-broker-150", "--duration", "600", "--out", str(tmp_path)]
    assert call(arguments) == ExitCode.USAGE


@pytest.mark.parametrize(
    "words",
    [
        "soak --rate 4000",
        "faults poison --rate 0.01",
        "faults --rate 0.00001",
        "cluster --rate 0.01",
    ],
)
def test_a_rate_that_is_no_load_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    """It was a traceback, once the stack was up."""
    assert call([*words.split(), "--out", str(tmp_path / "out")]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("error: --rate: ")
    assert not (tmp_path / "out").exists()


def test_a_last_seed_beyond_all_is_refused(tmp_path: Path) -> None:
    arguments = ["faults", "--seed", str(2**31 - 1), "--seeds", "2", "--out", str(tmp_path)]
    assert call(arguments) == ExitCode.USAGE


def test_an_unknown_fault_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call(["faults", "kill-everything"])
    assert ended.value.code == ExitCode.USAGE
    assert "kill-broker" in capsys.readouterr().err


def test_a_campaign_that_was_done_is_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started: both seeds are recorded."""
    monkeypatch.setattr(campaign, "commit", lambda: CommitRecord("abc", dirty=False))
    found = Found(
        fault="kill-broker", seed=1, run_id="a", commit="abc", rate_per_s=100.0, span_s=1.0,
        proof="it ended", requests=10, checkouts=1, unknown=0, cut=0, longest_s=1.0,
        recovered_s=2.0, recovery_s_max=20.0, violations=0, broken=[], unsure=[], took_s=30.0,
    )  # fmt: skip
    for seed in (1, 2):
        (tmp_path / str(seed)).mkdir()
        write(tmp_path / str(seed) / "fault.json", to_json(asdict(replace(found, seed=seed))))
    page = tmp_path / "page.md"
    page.write_text("<!-- faults:begin -->\n<!-- faults:end -->\n")
    arguments = ["faults", "kill-broker", "--seeds", "2", "--resume", "--out", str(tmp_path)]
    assert call([*arguments, "--doc", str(page)]) == ExitCode.DONE
    shown = capsys.readouterr().out
    assert "2 runs took 1 minutes: the promises held in 2." in shown
    assert shown.strip() in page.read_text()
    unknown = replace(found, seed=2, unsure=["the machine is uneven"])
    write(tmp_path / "2" / "fault.json", to_json(asdict(unknown)))
    again: list[tuple[list[str], list[int]]] = []

    def run(_: Campaign, names: list[str], seeds: list[int]) -> Iterator[tuple[Found, Path]]:
        again.append((names, seeds))
        yield from [(unknown, tmp_path / "2")] * len(names)

    monkeypatch.setattr(Campaign, "run", run)
    monkeypatch.setattr(build, "build", lambda folder: folder)
    assert call(arguments) == ExitCode.VOID
    assert again == [([], [1]), (["kill-broker"], [2])], "what is unknown is done again"
