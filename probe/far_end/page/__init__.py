"""The page from which a plain browser places a call: a few files, nothing from anybody else."""

from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}
_FILES = {
    "/": ("call.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/call.js": ("call.js", "text/javascript"),
    "/figures.js": ("figures.js", "text/javascript"),
    "/call.css": ("call.css", "text/css"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


class Part(NamedTuple):
    """A file and what it is."""

    content: bytes
    kind: str


def parts() -> dict[str, Part]:
    """What is served, by path."""
    return {path: Part((_FOLDER / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}
