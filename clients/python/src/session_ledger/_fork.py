"""Renews what the child of a fork must not take over from its parent: locks, threads and sockets.

A fork copies only the thread that calls it. A lock that another thread holds at that moment would
stay locked for ever in the child.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Forked:
    """What is made again in the child of a fork, by `_renew`."""

    def __init__(self) -> None:
        self._renew()
        _all.add(self)

    def _renew(self) -> None:
        """Makes what a process needs of its own: at first, and in the child after a fork."""
        raise NotImplementedError


class Guard(Forked):
    """A lock, for `with guard.lock:`. Each process has its own.

    It is an `RLock`, because a signal handler may interrupt the thread that holds it.
    """

    def _renew(self) -> None:
        """Makes the lock. A `with` statement around the fork releases the one that it acquired."""
        self.lock = threading.RLock()


class PerProcess(Forked, Generic[T]):
    """What each process makes for itself, such as a client of HTTP: two must not share a socket."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._guard = Guard()
        super().__init__()

    def _renew(self) -> None:
        self.made: T | None = None

    def get(self) -> T:
        """Makes it at the first call."""
        with self._guard.lock:
            if self.made is None:
                self.made = self._make()
            return self.made


_all: weakref.WeakSet[Forked] = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_all):
        each._renew()


# Windows has no fork.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
