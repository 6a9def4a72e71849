"""Where `probe compare` and `probe import` read: paths, and the addresses of collectors, which become paths here."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from probe.cli import fail

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="PATH|URL...",
        help="Files of runs, folders, Parquet, a collector's store, OONI files; or https://COLLECTOR, if its"
        " operator lets you read.",
    ),
]
TokenFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Holds the read token that a collector's operator gave you; one for each URL, in their order.",
    ),
]
Proxy = Annotated[
    str,
    typer.Option(
        metavar="URL", help="To collectors: socks5://HOST:PORT or http://HOST:PORT.", envvar="ALL_PROXY"
    ),
]


def local(sources: Sequence[str], token_files: Sequence[Path] | None, proxy: str) -> list[Path]:
    """Everything as paths; what collectors have is fetched first. Raises typer.Exit."""
    urls = [one for one in sources if "://" in one]
    tokens = list(token_files or ())
    if len(tokens) != len(urls):
        raise fail(
            "--token-file: one is needed for each collector, as its operator gave it to you, and no more"
        )
    if not urls:
        return [Path(one) for one in sources]
    from platformdirs import user_cache_path

    from probe.analysis.fetch import segments
    from probe.analysis.sources import SourceError
    from probe.upload.connection import NotNow

    cache, given = user_cache_path("callreach") / "collectors", iter(tokens)
    paths: list[Path] = []
    try:
        for one in sources:
            if one in urls:
                paths.append(segments(one, _token(next(given)), cache, _say, proxy=proxy))
            else:
                paths.append(Path(one))
    except SourceError as error:
        raise fail(str(error)) from None
    except NotNow as error:
        raise fail(str(error), code=1) from None
    return paths


def _token(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(
            f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'it holds no token'})"
        ) from None


def _say(sentence: str) -> None:
    sys.stderr.write(f"probe: {sentence}\n")
