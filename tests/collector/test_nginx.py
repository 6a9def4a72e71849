"""The documented nginx file, before two collectors, with a real nginx: TLS, limits, and one collector that dies."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import zstandard

from probe.collector.protocol import RUNS
from tests.collector.kept import kept
from tests.collector.process import process
from tests.collector.sender import Sender, new_id, receipt, result
from tests.loopback import HERE, ROOT

FILE = Path(__file__).parents[2] / "docs" / "examples" / "nginx-collector.conf"
NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@contextmanager
def nginx(folder: Path, collectors: list[int]) -> Iterator[int]:
    """nginx with the documented file; only what a test machine has otherwise is replaced in it."""
    certificate, key = ROOT.issue(HERE).write(folder, "leaf")
    with socket.socket() as taken:
        taken.bind((HERE, 0))
        port = taken.getsockname()[1]
    text = FILE.read_text()
    live = "/etc/letsencrypt/live/collector.example"
    one = "    server 127.0.0.1:8480 max_fails=0;\n"
    replaced = {
        "listen 443 ssl;": f"listen {HERE}:{port} ssl;",
        "    listen [::]:443 ssl;\n": "",
        f"{live}/fullchain.pem": str(certificate),
        f"{live}/privkey.pem": str(key),
        one: "".join(one.replace("8480", str(each)) for each in collectors),
    }
    for was, now in replaced.items():
        assert text.count(was) == 1, was
        text = text.replace(was, now)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log /dev/null crit;\nevents {{}}\n"
        f"http {{ client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;"
        f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n{text}\n}}\n"
    )
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    started = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while True:
            try:
                httpx.get(f"https://{HERE}:{port}/", verify=False, trust_env=False)  # noqa: S501 - is it there?
                break
            except httpx.ConnectError:
                assert time.monotonic() < until
                time.sleep(0.05)
        yield port
    finally:
        started.terminate()
        started.wait(20)


def test_runs_come_through_the_documented_nginx_and_one_dead_collector_is_not_noticed(tmp_path: Path) -> None:
    if NGINX is None:
        assert "CI" not in os.environ, "CI has nginx"
        pytest.skip("there is no nginx here (Debian: nginx-light)")
    trusted = ssl.create_default_context(cadata=ROOT.pem.decode())
    me, runs = Sender(), [new_id() for _ in range(20)]
    with (
        process(tmp_path, "one") as one,
        process(tmp_path, "two") as two,
        nginx(tmp_path, [one.port, two.port]) as port,
        httpx.Client(verify=trusted, base_url=f"https://{HERE}:{port}", trust_env=False) as client,
    ):

        def send(run: str, exact: bytes) -> httpx.Response:
            body = zstandard.ZstdCompressor().compress(exact)
            return client.post(RUNS, content=body, headers=me.headers(run, exact))

        texts = {run: result(run) for run in runs}
        first = [send(run, texts[run]) for run in runs[:10]]
        one.kill()
        rest = [send(run, texts[run]) for run in runs]
        asked = client.get(f"{RUNS}/{runs[0]}/receipt")
        gone = client.delete(f"{RUNS}/{runs[0]}", headers=me.wish(runs[0]))
        too_large = client.post(RUNS, content=os.urandom(550_000), headers=me.headers(runs[0], b"x"))
        hidden = [client.get(path).status_code for path in ("/metrics", "/healthz", "/openapi.json", "/")]
    written = "".join(f.read_text(errors="replace") for f in tmp_path.rglob("*.log"))

    assert [answer.status_code for answer in first] == [201] * 10
    assert [answer.status_code for answer in rest] == [200] * 10 + [201] * 10
    assert receipt(asked) == receipt(first[0])
    assert (gone.status_code, too_large.status_code, too_large.json()["error"]) == (204, 413, "size")
    assert hidden == [404] * 4
    assert sorted(kept(tmp_path / "storage")) == sorted(runs[1:])
    assert HERE not in written
