"""An event loop in virtual time: tests use the RFCs' timer values, and never wait.

When nothing is ready, the clock jumps to the next timer. When nothing is ready and no timer is set, nothing
can ever happen again: DeadlockError is raised, and names what every task is waiting for.

Events of the outside world cannot be awaited in virtual time, so sockets, threads, executors and
`getaddrinfo` raise NotInVirtualTime: mark such a test `network`, and it runs on a real loop.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

START = 5000.0
"""The first value of `time()`: not zero, to catch code that takes 0 for `never` or `now`."""


class DeadlockError(RuntimeError):
    """Every task waits, nothing is ready and no timer is set."""


class NotInVirtualTime(RuntimeError):
    """A socket, thread or executor was asked for on the virtual loop."""


class VirtualSelector(selectors.SelectSelector):
    """Accepts the loop's self-pipe and nothing else; calls `idle` where it would have slept."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[float | None], None] = lambda timeout: None

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        if self.get_map():  # the first file object is the loop's own self-pipe
            raise NotInVirtualTime("a real socket on the virtual loop: mark the test `network`")
        return super().register(fileobj, events, data)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self.idle(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A selector loop in virtual time, for `asyncio.Runner(loop_factory=VirtualLoop)`."""

    def __init__(self) -> None:
        self._now = START
        selector = VirtualSelector()
        super().__init__(selector)
        selector.idle = self._idle
        self._thread = threading.get_ident()

    def time(self) -> float:
        return self._now

    def stop_for(self, seconds: float) -> None:
        """Simulate that the process was stopped: due timers run before anything is read."""
        self._now += seconds

    def _idle(self, timeout: float | None) -> None:
        """Nothing is ready: jump to the next timer, exactly (no rounding of `now + timeout`)."""
        if timeout is None:
            raise DeadlockError(self._who_waits())
        due: float = self._scheduled[0].when()  # type: ignore[attr-defined]
        self._now = max(self._now, due)
        self._clock_resolution = math.ulp(self._now)  # a timer never fires before its time, late or soon

    def _who_waits(self) -> str:
        lines = [f"nothing is ready and no timer is set, at {self._now - START:.3f} s of virtual time"]
        for task in sorted(asyncio.all_tasks(self), key=lambda task: task.get_name()):
            where = _innermost(task.get_coro())
            lines.append(f"  {task.get_name()} waits at {where}")
        return "\n".join(lines)

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != self._thread:
            raise NotInVirtualTime("another thread cannot wake the virtual loop: mark the test `network`")
        return self.call_soon(callback, *args, **kwargs)  # Ctrl-C in asyncio.Runner comes here

    async def create_datagram_endpoint(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise NotInVirtualTime("a real socket on the virtual loop: mark the test `network`")

    create_connection = create_server = create_datagram_endpoint

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> NoReturn:
        name = getattr(func, "__qualname__", repr(func))
        raise NotInVirtualTime(f"no executor in virtual time (for {name}): mark the test `network`")


def _innermost(coro: Any) -> str:
    """File, line and function in which a coroutine is suspended, following its awaits inwards."""
    where = repr(coro)
    while coro is not None:
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "ag_frame", None)
        if frame is None:
            break
        where = f"{frame.f_code.co_filename}:{frame.f_lineno} ({coro.__qualname__})"
        coro = getattr(coro, "cr_await", None) or getattr(coro, "ag_await", None)
    return where


def stoppable() -> VirtualLoop:
    """The running virtual loop, for `stop_for`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run_virtual(coro: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coro)
