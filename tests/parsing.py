"""Parsing Python while nothing is collected: a finalizer that formats a traceback parses too, and Python 3.11 then
miscounts the depth (python/cpython#106905)."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Hold garbage collection off."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
