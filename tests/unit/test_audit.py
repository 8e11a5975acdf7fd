"""What pip-audit's answers mean: unknown is never fine."""

import json

from support.audit import verdict

GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1"}, {"id": "CVE-2"}]}
SKIPPED = {"name": "c", "skip_reason": "could not be audited: c (3)"}


def judge(*packages):
    return verdict(json.dumps({"dependencies": packages, "fixes": []}), "")


def test_all_were_looked_up():
    assert judge(GOOD, GOOD) == ("no known vulnerability in 2 packages", 0)


def test_a_known_vulnerability_is_a_failure_also_where_others_are_unknown():
    expected = ("2 known vulnerabilities: b 2: CVE-1; b 2: CVE-2", 1)
    assert judge(GOOD, BAD) == judge(SKIPPED, BAD) == expected


def test_what_could_not_be_looked_up_is_unknown():
    why = "could not be audited: c (3)"
    assert judge(GOOD, SKIPPED) == (f"unknown for 1 of 2 packages: {why}", 0)
    assert judge() == ("unknown for 0 of 0 packages: there was nothing to look up", 0)


def test_no_answer_is_unknown():
    for text in ("", "{", "{}"):
        assert verdict(text, "no route to host") == (
            "unknown, as pip-audit did not come to its end: no route to host",
            0,
        )
