"""Health probes: OPTIONS to trunks and agents (RFC 3261 §11), and which of their targets are down."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from proxy.sip.errors import SipError
from proxy.sip.headers import Headers
from proxy.sip.message import Request, Response
from proxy.sip.uri import Uri
from proxy.transport.flow import Flow, Target, TransportFailed
from proxy.ua.core import UserAgentCore
from proxy.ua.driver import Message
from proxy.ua.target_health import target_label

log = structlog.get_logger("screendoor")

PATIENCE_S = 6.0
"""How long an answer may take: OPTIONS is sent four times over UDP until then (0, 0.5, 1.5 and 3.5 s)."""
FAILURES = 3
"""A target is down after so many failed probes in a row."""
AGAIN_S = 5.0
"""The interval of probes after a failure, until the target is down."""
NOT_THERE = (408, 503)
"""Final responses that count as failures: sent in place of the target, or by one out of service."""


@dataclass(frozen=True, slots=True)
class ProbedPeer:
    """A peer to probe."""

    name: str
    """`trunk:NAME` or `agent:NAME`."""
    uri: str
    every_s: float
    profile: str = ""
    """Name of the TLS profile to connect with."""


@dataclass(slots=True)
class _State:
    """What is known about one target."""

    up: bool | None = None
    failures: int = 0
    silence_logged: bool = False
    """Whether it was logged that the target has never answered; it may just not support OPTIONS."""
    silent_flow: tuple[Flow, int] | None = None
    """The flow of the probes that are unanswered, and how many messages it had received before them."""


class Probes:
    """Probes a set of peers while `run()` runs."""

    def __init__(self, core: UserAgentCore, peers: Sequence[ProbedPeer], host: str) -> None:
        """`host`: our host name, for From."""
        self._peers = [_Probe(core, peer, host) for peer in peers]

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for peer in self._peers:
                tasks.create_task(peer.run(), name=f"probe {peer.name}")

    def down(self, name: str) -> bool:
        """Whether every target of that peer is down; False for a peer that is not probed."""
        return any(peer.name == name and peer.up is False for peer in self._peers)

    def peers(self) -> dict[str, str]:
        """`up`, `down` or `unknown`, by peer name."""
        return {peer.name: {True: "up", False: "down", None: "unknown"}[peer.up] for peer in self._peers}

    def targets(self) -> Iterator[tuple[str, str, bool]]:
        """Peer name, target and whether it is up, for every target whose state is known."""
        for peer in self._peers:
            for target, state in peer.states.items():
                if state.up is not None:
                    yield peer.name, target_label(target), state.up


class _Probe:
    """Probes one peer: every target of its URI, each with a state of its own."""

    def __init__(self, core: UserAgentCore, probed: ProbedPeer, host: str) -> None:
        self.name = probed.name
        self._core, self._probed, self._host = core, probed, host
        self.states: dict[Target, _State] = {}
        self._unresolved = 0
        """How often in a row the URI could not be resolved."""

    @property
    def up(self) -> bool | None:
        """False if every target is down; None while nothing is known."""
        known = [state.up for state in self.states.values()]
        if self._unresolved >= FAILURES or (known and all(up is False for up in known)):
            return False
        return True if True in known else None

    async def run(self) -> None:
        while True:
            try:
                soon = await self._round()
            except Exception:
                log.exception("probe failed", peer=self.name)
                soon = False
            await asyncio.sleep(min(AGAIN_S, self._probed.every_s) if soon else self._probed.every_s)

    async def _round(self) -> bool:
        """Probe every target once; returns whether one of them should be probed again soon."""
        try:
            targets = await self._core.network.resolve(Uri.parse(self._probed.uri), self._probed.profile)
        except TransportFailed as error:
            self._unresolved += 1
            if self._unresolved == FAILURES:
                log.warning("peer down", peer=self.name, why=str(error))
            return self._unresolved < FAILURES
        if self._unresolved >= FAILURES:
            log.info("peer found again", peer=self.name)
        self._unresolved = 0
        self.states = {target: self.states.get(target) or _State() for target in targets}
        await asyncio.gather(*(self._ask(target, state) for target, state in self.states.items()))
        return any(0 < state.failures < FAILURES for state in self.states.values())

    async def _ask(self, target: Target, state: _State) -> None:
        options = _OptionsUser()
        try:
            async with asyncio.timeout(PATIENCE_S):
                flow = await self._core.network.connect(target)
                if state.silent_flow is None or state.silent_flow[0] is not flow:
                    state.silent_flow = flow, flow.received_count if state.silent_flow is None else 0
                self._core.launch(self._options(), flow, options)
                status = await options.status
        except TimeoutError:
            self._unanswered(target, state)
        except SipError as error:
            self._failed(target, state, str(error))
        else:
            if status in NOT_THERE:
                self._failed(target, state, f"it answers {status}")
            else:
                self._answered(target, state)

    def _fail_dead_flow(self, state: _State) -> None:
        """Fail a connection on which nothing has come since the probes went unanswered: it may be dead.

        It is kept while an INVITE of ours is pending on it, and if anything else has come on it: then the
        peer just does not answer OPTIONS any more.
        """
        flow, heard = state.silent_flow or (None, 0)
        if (
            flow is not None
            and flow.reliable
            and flow.received_count == heard
            and not self._has_pending_invite(flow)
        ):
            flow.fail(TransportFailed("nothing came by the connection, not even answers to OPTIONS"))

    def _has_pending_invite(self, flow: Flow) -> bool:
        """Whether an INVITE of ours is pending on this flow."""
        waiting = self._core.clients.live()
        return any(each.flow is flow and each.request.method == "INVITE" for each in waiting)

    def _answered(self, target: Target, state: _State) -> None:
        if state.up is not True:
            log.info("target up", peer=self.name, target=target_label(target))
        state.up, state.failures, state.silent_flow = True, 0, None
        self._core.target_health.answered(target)

    def _unanswered(self, target: Target, state: _State) -> None:
        """No answer. From a target that has never answered that means little: many ignore OPTIONS."""
        if state.up is not None:
            self._failed(target, state, "no answer to OPTIONS")
            if state.failures >= FAILURES:
                self._fail_dead_flow(state)
            return
        if not state.silence_logged:
            state.silence_logged = True
            log.warning(
                "target has never answered OPTIONS: its silence says nothing (probe_s = 0 ends this)",
                peer=self.name,
                target=target_label(target),
            )

    def _failed(self, target: Target, state: _State, why: str) -> None:
        state.failures += 1
        if state.failures >= FAILURES and state.up is not False:
            state.up = False
            self._core.target_health.down(target)
            log.warning("target down", peer=self.name, target=target_label(target), why=why)

    def _options(self) -> Request:
        uri, ids = self._probed.uri, self._core.ids
        headers = Headers([("Max-Forwards", "70")])
        headers.add("From", f"<sip:{self._host}>;tag={ids.tag()}")
        headers.add("To", f"<{Uri.parse(uri).logical}>")
        headers.add("Call-ID", ids.call_id())
        headers.add("CSeq", "1 OPTIONS")
        headers.add("Accept", "application/sdp")
        return Request("OPTIONS", uri, headers)


class _OptionsUser:
    """The transaction user of one OPTIONS."""

    def __init__(self) -> None:
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def received(self, message: Message) -> None:
        assert isinstance(message, Response)
        if message.status >= 200:
            with suppress(asyncio.InvalidStateError):
                self.status.set_result(message.status)

    def failed(self, error: SipError) -> None:
        with suppress(asyncio.InvalidStateError):  # the wait has timed out already
            self.status.set_exception(error)
