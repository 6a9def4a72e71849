"""Which module may know which, how long files may get, and what a start may load."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parsing import nothing_collected

ROOT = Path(__file__).parent.parent
PROBE = ROOT / "probe"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PROBE.rglob("*.py")
}
# Each may import what stands before it, and itself.
ORDER = (
    "language", "record", "failure", "dialogue", "media", "diagnosis", "step", "hello", "identity", "anchors", "noise",
    "mtproto", "tls_link", "http_link", "websocket_link", "stun_message", "webrtc", "toml_file", "http_server",
    "far_end", "steps", "model", "catalogue",
    "coherence", "configs", "placing", "plan", "follow_up", "call_outcome", "call_follow_up", "relay_media",
    "reading", "controls", "resolution", "tampering", "contrast", "call_limits", "call_contrast",
    "relay_contrast", "proof_contrast", "rule", "call_rules", "relay_rules", "proof_rules", "rules", "regime",
    "findings", "verdict", "watch", "pulse", "siblings",
    "observe", "lines", "lists", "lookup", "mirror", "machine", "vantage", "rounds", "measure", "store", "home",
    "words", "durable", "lock", "consent", "countries", "upload", "net", "session", "collector", "schedule",
    "doctor", "analysis", "demo", "cli", "__main__",
)  # fmt: skip
PURE = (
    "record", "failure", "dialogue", "diagnosis", "placing", "plan", "follow_up", "call_outcome",
    "call_follow_up", "relay_media", "reading", "controls", "resolution", "tampering", "contrast",
    "call_limits", "call_contrast", "relay_contrast", "proof_contrast", "rule", "call_rules", "relay_rules",
    "proof_rules", "rules", "regime", "findings", "verdict", "stun_message", "hello",
)  # fmt: skip


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    with nothing_collected():
        tree = ast.parse(path.read_text())
    nodes = tree.body if top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_one_way(module: str) -> None:
    mine = part(module)
    if not mine:
        return
    for name in imports(MODULES[module]):
        other = part(name) if name.startswith("probe.") else ""
        if other and other not in ("__version__",) and f"probe.{other}" in MODULES:
            assert ORDER.index(other) <= ORDER.index(mine), f"{module} imports {name}"


@pytest.mark.parametrize("name", PURE)
def test_what_is_pure_knows_no_network_and_no_clock(name: str) -> None:
    known = {one.split(".")[0] for one in imports(MODULES[f"probe.{name}"])}

    assert not known & {"socket", "time", "subprocess", "threading", "httpx", "rich", "typer"}
    assert "probe.net" not in imports(MODULES[f"probe.{name}"])


def test_httpx_is_imported_in_one_module() -> None:
    users = {name for name, path in MODULES.items() if "httpx" in imports(path, top_only=True)}

    assert users == {"probe.http_link"}


def test_the_help_loads_no_network_no_protocol_and_no_table() -> None:
    commands = "collect, compare, consent, demo, doctor, ooni, run, schedule, services, show, upload"
    code = f"import sys; from probe.cli import {commands}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())

    assert "typer" in loaded
    assert not loaded & {
        "asyncio",
        "rich",
        "msgspec",
        "httpx",
        "dns",
        "aioquic",
        "aiortc",
        "cryptography",
        "ssl",
        "ibis",
        "pyarrow",
    }


def test_a_run_without_calls_does_not_load_the_call_stack() -> None:
    code = "import sys; import probe.session, probe.steps, probe.http_link; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not set(done.stdout.split()) & {"aiortc", "av", "aioice", "rich"}


def test_files_stay_small() -> None:
    long = {
        name: size for name, path in MODULES.items() if (size := len(path.read_text().splitlines())) > 360
    }

    assert not long


def test_nothing_speaks_of_one_machine() -> None:
    for path in [*PROBE.rglob("*.py"), *(ROOT / "configs").rglob("*.toml"), *(ROOT / "docs").rglob("*.md")]:
        text = path.read_text()
        assert not re.search(r"(?<!-)/(home|root|tmp|work|srv)/", text), path


def test_every_rule_and_regime_has_its_line_in_the_documentation() -> None:
    from probe.regime import REGIMES
    from probe.rules import RULES

    text = (ROOT / "docs" / "verdicts.md").read_text()
    for rule in RULES:
        assert f"| `{rule.id}` | {rule.state} |" in text, rule.id
        assert rule.because in text, rule.id
    for regime in REGIMES:
        assert f"| `{regime.regime}` |" in text, regime.regime


def test_rule_ids_are_unique() -> None:
    from probe.rules import RULES

    assert len({rule.id for rule in RULES}) == len(RULES)
