"""The documented nginx file, before two collectors, with a real nginx: TLS, limits, and one collector that dies."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import zstandard

from probe.collector.protocol import RUNS
from probe.collector.readers import new_token
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


def test_what_two_collectors_of_one_storage_took_in_is_rolled_and_read_as_one(tmp_path: Path) -> None:
    if NGINX is None:
        assert "CI" not in os.environ, "CI has nginx"
        pytest.skip("there is no nginx here (Debian: nginx-light)")
    pytest.importorskip("ibis", reason="the extra analysis is not installed")
    me, runs, (token, digest) = Sender(), [new_id() for _ in range(12)], new_token()
    (tmp_path / "token").write_text(token)
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    storage, small = tmp_path / "storage", "[segments]\noctets = 4_000\n"
    readers = f'readers = ["{digest}"]'
    environment = os.environ | {
        "XDG_CACHE_HOME": str(tmp_path / "cache"), "SSL_CERT_FILE": str(tmp_path / "root.pem"), "ALL_PROXY": "",
    }  # fmt: skip

    def begun(command: str, source: str | Path, *more: str | Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "probe", command, source, *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    with (
        process(tmp_path, "one", small, top=readers) as one,
        process(tmp_path, "two", small, top=readers) as two,
        nginx(tmp_path, [one.port, two.port]) as port,
        httpx.Client(base_url=one.url, trust_env=False) as first,
        httpx.Client(base_url=two.url, trust_env=False) as second,
    ):
        for number, run in enumerate(runs):
            exact = result(run, size=5_000)
            body = zstandard.ZstdCompressor().compress(exact)
            for client in (first, second)[number % 2 :]:  # some runs to both
                assert client.post(RUNS, content=body, headers=me.headers(run, exact)).status_code in (
                    200,
                    201,
                )
        assert first.delete(f"{RUNS}/{runs[0]}", headers=me.wish(runs[0])).status_code == 204
        until = time.monotonic() + 60
        while len(list(storage.glob("sealed/*.zst"))) < len(runs) or runs[0].encode() in held_in(storage):
            assert time.monotonic() < until
            time.sleep(0.2)
        rolling = [begun("import", storage, "--to", tmp_path / "rows") for _ in range(2)]
        rolled = [(each.communicate(timeout=100)[1], each.returncode) for each in rolling]
        away = begun("compare", f"https://{HERE}:{port}", "--token-file", tmp_path / "token", "--json")
        read, said = away.communicate(timeout=100)
        here = begun("compare", tmp_path / "rows", "--json").communicate(timeout=100)[0]

    assert all(code == 0 or "another import is writing there" in told for told, code in rolled), rolled
    assert 0 in [code for _, code in rolled]
    assert f"{HERE}:{port}: 12 of 12 segments are fetched" in said
    assert json.loads(read)["runs"] == json.loads(here)["runs"] == 11
    assert json.loads(read)["matrix"] == json.loads(here)["matrix"]


def held_in(storage: Path) -> bytes:
    """The first lines of every sealed segment's documents, uncompressed."""
    packed = (file.read_bytes() for file in storage.glob("sealed/*.zst"))
    return b"".join(
        line
        for raw in packed
        for line in zstandard.ZstdDecompressor().decompressobj().decompress(raw).splitlines()
        if b'"document"' in line
    )
