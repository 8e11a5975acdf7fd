"""A service that nobody here wrote, measured from the command line as its owner would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import certificates

ROOT = Path(__file__).parents[2]
SECRET = "never-to-be-written-down"
SERVER = """
import ssl
from aiohttp import web

async def answer(request):
    if request.headers.get("Authorization") != "Bearer never-to-be-written-down":
        raise web.HTTPUnauthorized(text=f"no {request.headers['Authorization']}\\nhere")
    return web.json_response({"id": request.path})

async def serve():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("cert.pem", "key.pem")
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

import asyncio
asyncio.run(serve())
"""
WORKLOAD = """
[values]
id = { from = 1, to = 1000000000 }
[[request]]
operation = "look"
path = "/v1/{id}/😀"
headers = { Authorization = { env = "TOKEN", prefix = "Bearer " } }
check = { header = { Content-Type = "application/json; charset=utf-8" } }
[[request]]
operation = "head"
method = "HEAD"
path = "/"
headers = { Authorization = { env = "TOKEN", prefix = "Bearer " } }
"""


@contextmanager
def server(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"https://localhost:{int(process.stdout.readline())}"
        finally:
            process.kill()


def run(
    folder: Path, url: str, *options: str, token: str = SECRET
) -> subprocess.CompletedProcess[str]:
    (folder / "mine.toml").write_text(WORKLOAD)
    return subprocess.run(
        [sys.executable, "-m", "bench", "run", "--quick", "--rate", "50", "--target", url,
         "--workload", str(folder / "mine.toml"), "--out", str(folder / "out"), *options],
        cwd=ROOT, env={**os.environ, "TOKEN": token}, capture_output=True, text=True,
    )  # fmt: skip


def test_a_judged_result_that_is_the_service_s_own(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    with server(tmp_path) as url:
        untrusted = run(tmp_path, url)
        assert untrusted.returncode == 1
        assert "is not trusted" in untrusted.stderr
        assert untrusted.stderr.count("\n") == 1
        assert list((tmp_path / "out").glob("*/run.json")) == []
        done = run(tmp_path, url, "--ca", str(made.authority), "--p99-ms", "0.000001")
    (folder,) = (tmp_path / "out").iterdir()
    recorded = json.loads((folder / "run.json").read_text())
    # A machine that is too busy voids the run: then a long p99 says nothing about the service.
    assert (done.returncode, recorded["verdict"]) in ((5, "failed"), (4, "void"))
    assert any("(--p99-ms)" in reason for reason in recorded["reasons"])
    window = recorded["phases"][-1]["window"]
    assert window["failed"] == window["refused"] == {}
    assert sorted(window["operations"]) == ["head", "look"]
    settings = recorded["settings"]
    assert {"scenario", "zipf", "workers", "trace_every", "insecure"}.isdisjoint(settings)
    assert settings["users"] == []
    assert Path(settings["ca"]).name == "ca.pem"
    assert recorded["invariants"] is None
    shown = (folder / "summary.md").read_text() + (folder / "report.html").read_text()
    for word in ("Kafka", "Flink", "zipf", "scenario"):
        assert word not in shown.split("plotly", 1)[0]
    for path in folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_what_an_unexpected_answer_said(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    with server(tmp_path) as url:
        done = run(tmp_path, url, "--ca", str(made.authority), token="another-secret")
    (folder,) = (tmp_path / "out").iterdir()
    recorded = json.loads((folder / "run.json").read_text())
    window = recorded["phases"][-1]["window"]
    said = {"look: unexpected 401": "no Bearer [hidden] here", "head: unexpected 401": ""}
    assert window["first_answers"] == said
    assert "first answer, look: unexpected 401: `no Bearer [hidden] here`" in done.stdout
    assert "no Bearer [hidden] here" in (folder / "report.html").read_text()
    for path in folder.rglob("*"):
        if path.is_file():
            assert b"another-secret" not in path.read_bytes(), path


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr == "error: nothing listens at 127.0.0.1 port 9: start the server first\n"
