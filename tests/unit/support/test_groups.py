"""The groups of tests: as pytest itself knows who uses what."""

import pytest
from support.groups import SHARED, group_of


def test_the_sources_tell_what_pytest_finds(request: pytest.FixtureRequest) -> None:
    """Of every test of this run."""
    for item in request.session.items:
        used = getattr(item, "fixturenames", ())
        expected = next((name for name in SHARED if name in used), item.nodeid)
        assert group_of(item.nodeid) == expected


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/e2e/test_runtime.py::test_an_existing_cluster_that_is_not_there", "stack"),
        ("tests/e2e/test_probes.py::test_a_probe_passes[echo]", "stack"),
        ("tests/contract/test_replies.py::test_replies_are_counted_by_kind", "bootstrap_servers"),
    ],
)
def test_what_is_shared_by_way_of_other_fixtures(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group


def test_a_test_that_shares_nothing_is_its_own_group() -> None:
    nodeid = "tests/e2e/test_modes.py::test_a_checkout_charges_and_takes_stock[two tasks::x]"
    assert group_of(nodeid) == nodeid
