"""docker-compose.yml: what is built once, and what ends before what."""

from pathlib import Path

import pytest
import yaml
from support.engine import one_of_each_image

ROOT = Path(__file__).parents[4]
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


@pytest.mark.parametrize("profile", ["default", "cluster"])
def test_each_image_is_built_by_one_service(profile: str) -> None:
    """A Compose that builds one for several of them at a time fails with "already exists"."""
    profiles = (profile, "observe", "bench")
    images = [SERVICES[name]["image"] for name in one_of_each_image(profiles)]
    wanted = {
        each["image"]
        for each in SERVICES.values()
        if "build" in each and {*each["profiles"]} & {*profiles}
    }
    assert sorted(images) == sorted(wanted)
    assert ("kaflinkshop-balancer" in images) == (profile == "cluster")


@pytest.mark.parametrize("profile", ["default", "cluster"])
def test_the_services_answer_until_the_gateways_have_ended(profile: str) -> None:
    """Compose ends whatever is needed last; what was in flight at `down` was a 504."""
    of_profile = {name: each for name, each in SERVICES.items() if each["profiles"] == [profile]}
    services = {name for name in of_profile if name.startswith("taskmanager")}
    gateways = [name for name in of_profile if name.startswith("gateway")]
    assert (len(services), len(gateways)) == ((1, 1) if profile == "default" else (2, 2))
    for name in gateways:
        needed = SERVICES[name]["depends_on"]
        assert {other for other in needed if other.startswith("taskmanager")} == services
        assert all(needed[other] == {"condition": "service_healthy"} for other in services)
