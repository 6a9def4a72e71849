"""Async tests run on a fresh event loop, and nothing a test opens may outlive it."""

import asyncio
import inspect

import pytest
from hypothesis import settings

settings.register_profile("callreach", deadline=None, max_examples=200)
settings.load_profile("callreach")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests; one line of our own instead of a plugin with modes."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True
