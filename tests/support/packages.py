"""Packages with services, as an installer leaves them in a folder of its own."""

from collections.abc import Sequence
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

from system.catalog import GROUP

GREETING = """
from system.routes import Route
from system.service import Call, Entity, Outcome, Reply, Service

GREETING = Service("greeting", key="name")
ROUTES = (Route("POST", "/greetings/{name}", "greeting", "greet", "name"),)


@GREETING.method
def greet(entity: Entity | None, call: Call) -> Outcome:
    greetings = 1 if entity is None else entity["greetings"] + 1
    return Outcome({"greetings": greetings}, (Reply({"name": call.id("name")}),))
"""


def install(
    folder: Path, package: str, service: str = "greeting", value: str = "", source: str = GREETING
) -> None:
    """Puts a package into the folder that brings one service, from a module of one file."""
    module = package.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{service} = {value or module}\n")
    (folder / f"{module}.py").write_text(source)


def points(folder: Path) -> Sequence[EntryPoint]:
    return [
        point
        for package in distributions(path=[str(folder)])
        for point in package.entry_points
        if point.group == GROUP
    ]
