"""What may differ between runs, and what their records say of it."""

import pytest

from bench.records.typed_json import to_plain
from bench.report import tables
from bench.run.load import load_of
from bench.run.settings import Settings

WORKLOAD = '[[request]]\noperation = "a"\npath = "/"\n'


def test_a_foreign_record_says_nothing_of_the_shop() -> None:
    foreign = to_plain(Settings(workload="w.toml", target="http://a", rate="5", users=()))
    assert {"scenario", "zipf", "workers", "trace_every", "ca", "insecure"}.isdisjoint(foreign)
    assert foreign["users"] == []
    secure = to_plain(Settings(workload="w.toml", target="https://a", insecure=True))
    assert secure["insecure"] is True


NOT_GIVEN = {"saturation_users", "agents", "kafka", "record_bytes", "basket"}


@pytest.mark.parametrize(
    ("settings", "without"),
    [
        (Settings(), {*NOT_GIVEN, "ca", "insecure"}),
        (Settings(rate="5"), {*NOT_GIVEN, "users", "ca", "insecure"}),
        (
            Settings(rate="5", saturation_users=64, scenario="checkout", basket=3),
            {*NOT_GIVEN, "users", "ca", "insecure"} - {"saturation_users", "basket"},
        ),
        (
            Settings(workload="w"),
            {*tables.SHOP_SETTINGS, *NOT_GIVEN, "ca", "insecure"},
        ),
        (
            Settings(workload="w", target="https://a"),
            {*tables.SHOP_SETTINGS, *NOT_GIVEN, "workers"},
        ),
    ],
)
def test_what_is_shown_means_something(settings: Settings, without: set[str]) -> None:
    assert tables._meaningless(settings) == without


def test_whom_a_load_trusts(tmp_path) -> None:
    (tmp_path / "w.toml").write_text(WORKLOAD)
    given = Settings(workload=str(tmp_path / "w.toml"), ca="ca.pem", insecure=True)
    load = load_of(given)
    assert (load.trust.ca, load.trust.insecure) == ("ca.pem", True)
