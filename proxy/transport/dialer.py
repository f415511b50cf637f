"""Dialer: outbound connections, one per target, with a back-off after failures."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from proxy.transport.flow import Address, Target, TransportFailed
from proxy.transport.stream import StreamFlow
from proxy.transport.tls import TlsProfiles
from proxy.transport.tls_engine import TlsEngine

BACK_OFF_S = (0.5, 4.0)
"""Pause after the first failure, doubled with each further one, and its maximum."""
MAX_FAILURES = 10_000
"""How many failing targets are remembered."""


@dataclass(slots=True)
class _Failure:
    """The last failure to connect to a target."""

    why: TransportFailed
    pause_s: float
    until: float


class Dialer:
    """Makes outbound connections and reuses open ones, aliased inbound ones too (RFC 5923)."""

    def __init__(
        self,
        make: Callable[[TlsEngine | None], StreamFlow],
        keep: Callable[[StreamFlow], None],
        profiles: TlsProfiles,
        timeout_s: float,
    ) -> None:
        """`keep` is called with each new connection; `timeout_s` limits connecting plus TLS handshake."""
        self._make, self._keep, self._profiles, self._timeout_s = make, keep, profiles, timeout_s
        self._made: dict[Target, StreamFlow] = {}
        self._aliases: dict[Address, StreamFlow] = {}
        self._aliased: dict[StreamFlow, Address] = {}
        """The inverse of `_aliases`: each flow has one alias."""
        self._attempts: dict[Target, asyncio.Task[StreamFlow | TransportFailed]] = {}
        self._failures: dict[Target, _Failure] = {}
        self._closed = False

    async def connect(self, target: Target) -> StreamFlow:
        """An open connection to the target, or a new one; raises TransportFailed."""
        open_flow = self._reusable(target)
        if open_flow is not None:
            return open_flow
        attempt = self._attempts.get(target)
        if attempt is None:
            self._check_back_off(target)
            attempt = asyncio.create_task(self._dial(target), name=f"connect to {target.name}")
            self._attempts[target] = attempt
            attempt.add_done_callback(lambda _: self._attempts.pop(target, None))
        # Several calls may await one attempt: cancelling one of them must not cancel it for the others.
        try:
            made = await asyncio.shield(attempt)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise TransportFailed("the network is closed") from None
        if isinstance(made, TransportFailed):
            raise TransportFailed(str(made))
        return made

    def alias(self, flow: StreamFlow, address: Address) -> None:
        """Use this inbound connection for requests to this address of its peer (RFC 5923 §8.2)."""
        if self._aliased.get(flow) == address and self._aliases.get(address) is flow:
            return  # unchanged: the peer sends it in each of its requests
        if flow in self._aliased:
            self._drop_alias(flow)  # only the latest address counts
        else:
            flow.socket_closed.add_done_callback(lambda _: self._drop_alias(flow))
        self._aliased[flow], self._aliases[address] = address, flow

    async def close(self) -> None:
        """Cancel every attempt."""
        self._closed = True
        for attempt in list(self._attempts.values()):
            attempt.cancel()
        await asyncio.gather(*self._attempts.values(), return_exceptions=True)

    def _reusable(self, target: Target) -> StreamFlow | None:
        made = self._made.get(target)
        if made is not None and not made.closed:
            return made
        alias = self._aliases.get(target.address) if target.transport == "tls" else None
        # §8.2.1: the name must be the peer's own; an address alone proves nothing.
        return alias if alias and not alias.closed and target.name.lower() in alias.peer_names else None

    def _check_back_off(self, target: Target) -> None:
        """Raise TransportFailed during the back-off, so that calls do not cause an attempt each."""
        failure = self._failures.get(target)
        if failure is not None and asyncio.get_running_loop().time() < failure.until:
            raise TransportFailed(str(failure.why))

    async def _dial(self, target: Target) -> StreamFlow | TransportFailed:
        """Connect; returns a failure instead of raising it, so that an unawaited task logs no error."""
        made = await self._attempt(target)
        if isinstance(made, StreamFlow):
            self._failures.pop(target, None)
            self._made[target] = made
            self._keep(made)
            made.socket_closed.add_done_callback(lambda _: self._forget(made, target))
        else:
            self._failed(target, made)
        return made

    async def _attempt(self, target: Target) -> StreamFlow | TransportFailed:
        try:
            flow = self._make(self._engine(target))
        except TransportFailed as error:
            return error
        with contextlib.ExitStack() as undo:
            undo.callback(flow.abort)
            failure = await self._open(flow, target)
            if failure is not None:
                return failure
            undo.pop_all()
        return flow

    async def _open(self, flow: StreamFlow, target: Target) -> TransportFailed | None:
        """Connect and do the TLS handshake; returns the error, or None."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await asyncio.get_running_loop().create_connection(lambda: flow, *target.address)
                failure = await flow.opened
        except TimeoutError:
            failure = TransportFailed(f"no answer within {self._timeout_s:g} s")
        except OSError as error:
            failure = TransportFailed(error.strerror or str(error))
        if failure is None:
            return None
        return TransportFailed(f"no connection to {_described(target)}: {failure}")

    def _engine(self, target: Target) -> TlsEngine | None:
        if target.transport == "tcp":
            return None
        if target.transport != "tls":
            raise TransportFailed(f"transport not supported: {target.transport}")
        return self._profiles.engine(target.profile, target.name)

    def _failed(self, target: Target, why: TransportFailed) -> None:
        low, high = BACK_OFF_S
        before = self._failures.pop(target, None)
        pause = min(before.pause_s * 2, high) if before else low
        if len(self._failures) >= MAX_FAILURES:
            self._failures.clear()
        self._failures[target] = _Failure(why, pause, asyncio.get_running_loop().time() + pause)

    def _forget(self, flow: StreamFlow, target: Target) -> None:
        if self._made.get(target) is flow:
            del self._made[target]

    def _drop_alias(self, flow: StreamFlow) -> None:
        address = self._aliased.pop(flow)
        if self._aliases.get(address) is flow:
            del self._aliases[address]


def _described(target: Target) -> str:
    return f"{target.name} ({target.address[0]} port {target.address[1]}) over {target.transport}"
