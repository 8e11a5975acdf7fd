"""``python -m system new-service NAME`` writes a package with a service of one's own.

The files are those of `system/template`, a service that is named counter there.
"""

import re
from pathlib import Path
from types import ModuleType

from machine.errors import StackError
from system.catalog import refusal

TEMPLATE = Path(__file__).with_name("template")
NAME = "counter"
PLACES = {
    "pyproject.toml": "pyproject.toml",
    "service.py": f"src/{NAME}_service.py",
    "test_service.py": f"tests/test_{NAME}_service.py",
    "workload.toml": "workload.toml",
    "gitignore": ".gitignore",
}
"""Each template leads to its file in the new folder."""


def files(name: str) -> dict[str, str]:
    """`files` returns the text of each file of the service's package, by its path there."""
    return {
        _renamed(place, name): _renamed((TEMPLATE / f"{source}.template").read_text(), name)
        for source, place in PLACES.items()
    }


def write(name: str, folder: Path) -> list[Path]:
    """`write` writes the files into a new or empty folder, and returns their paths.

    It raises `StackError` where the folder holds anything, or where a stack could not have the
    service beside those that there are, and `OSError` where it can't be written.
    """
    texts = files(name)
    module = ModuleType(f"{name}_service")
    exec(texts[f"src/{name}_service.py"], module.__dict__)  # noqa: S102 (the template's own text)
    if (why := refusal(name, module)) is not None:
        raise StackError(f"a service can't be named {name}: {why}; choose another name")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StackError(f"{folder} is there already: choose a new or empty folder with --in")
    made = []
    for place, text in texts.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        made.append(path)
    return made


def _renamed(text: str, name: str) -> str:
    text = re.sub(rf"{NAME.upper()}(?![a-z])", name.upper(), text)
    return re.sub(rf"(?<![A-Za-z]){NAME}(?![a-z])", name, text)
