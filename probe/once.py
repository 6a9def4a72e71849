"""What is found out when it is first asked for, and kept."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 - used as a decorator, like property
    """functools.cached_property without the lock that Python 3.11 takes, which costs more than most of our answers."""

    def __init__(self, find: Callable[[Any], T]) -> None:
        self._find, self._name, self.__doc__ = find, find.__name__, find.__doc__

    def __get__(self, owner: Any, of: type | None = None) -> T:
        found = owner.__dict__[self._name] = self._find(owner)
        return found
