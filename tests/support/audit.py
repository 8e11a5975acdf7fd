"""Known vulnerabilities of what requirements.lock pins: ``python -m tests.support.audit``.

Exit code 1 where there is one. Without an answer from the service that knows them the result is
"unknown", in one line, and exit code 0: a network that is down is no fault of a commit. pip-audit
itself says then that none was found.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

COMMAND = (
    *(sys.executable, "-m", "pip_audit", "--requirement", "requirements.lock"),
    *("--disable-pip", "--no-deps", "--progress-spinner", "off", "--format", "json"),
)
"""What is audited are the pins themselves, hashes and all: nothing is installed for it."""
TIMEOUT_S = 300.0
"""Of all lookups; each package is one."""


def main() -> int:
    with TemporaryDirectory() as folder:
        answer = Path(folder) / "audit.json"
        try:
            done = subprocess.run(
                [*COMMAND, "--output", str(answer)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            text, said = "", f"no answer within {TIMEOUT_S:g} s"
        else:
            text = answer.read_text() if answer.exists() else ""
            said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
    line, code = verdict(text, said)
    print(f"audit: {line}", flush=True)
    return code


def verdict(text: str, said: str) -> tuple[str, int]:
    """`verdict` returns what pip-audit's JSON means, and the exit code.

    `said` is the last line of its errors, for where `text` is no JSON.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    except (ValueError, KeyError):
        return f"unknown, as pip-audit did not come to its end: {said}", 0
    found = [
        f"{package['name']} {package['version']}: {vulnerability['id']}"
        for package in packages
        for vulnerability in package.get("vulns", [])
    ]
    if found:
        return f"{len(found)} known vulnerabilities: {'; '.join(found)}", 1
    skipped = [package["skip_reason"] for package in packages if "vulns" not in package]
    if skipped or not packages:
        why = skipped[0] if skipped else "there was nothing to look up"
        return f"unknown for {len(skipped)} of {len(packages)} packages: {why}", 0
    return f"no known vulnerability in {len(packages)} packages", 0


if __name__ == "__main__":
    sys.exit(main())
