"""Random events in random order on random networks: every call ends and leaves nothing behind.

Each seed is one story: its transports, its packet loss and delay, and who does what when. Timers have their
true values. `RuleChecker` checks what the edge sent and owed; the log must contain no error.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.call.routing import Confirmation
from proxy.call.sound import EarlyMedia
from proxy.lab.expect import Unexpected
from proxy.lab.peer import Peer
from proxy.lab.peer_call import PeerCall
from proxy.lab.peer_sdp import directed, revised
from proxy.media.speech import RECORDED
from proxy.sip.errors import SipError
from proxy.ua.leg import Leg
from screening.contract import Connect, Decline, Refusal, Refuse, Ring, TakeMessage
from tests.kit.edge import CARRIER, OPENAI, PHONE_NUMBER, TRUNK, Edge, NewEdge
from tests.kit.races import SDP, ForkBranch, race_edge

STORIES = 300
ASKED = 150
"""Random calls with announcement, recording and a phone that has to press 1."""
T4_S = 5.0
PAUSES_S = [0, 0, 0.001, 0.1, 0.1, 0.5, 0.5, 2, 2, 5, 5, 40]
DONE_ALONE = ("ACK", "BYE", "CANCEL", "NOTIFY", "OPTIONS")


class Storm:
    """One call with random events, drawn from a seed."""

    def __init__(self, edge: Edge, dice: random.Random) -> None:
        self.edge, self.dice = edge, dice
        self.told: list[str] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._branches = 0
        self.events: list[Callable[[], Coroutine[Any, Any, object]]] = [
            self.caller_cancels,
            self.hangs_up,
            self.hangs_up,
            self.asks,
            self.asks,
            self.asks,
            self.agent_answers,
            self.agent_answers,
            self.agent_answers,
            self.agent_refers,
            self.agent_refers,
            self.phone_answers,
            self.phone_answers,
            self.phone_answers,
            self.forks,
            self.we_offer,
            self.decides,
            self.repeats,
            self.cuts,
            self.falls_silent,
            self.calls_again,
            self.holds,
            self.refreshes,
            self.stray,
            self.answers_our_offer,
            self.answers_our_offer,
            self.acknowledges,
        ]

    async def rages(self) -> None:
        """A call comes in; then random events happen, for a random number of steps."""
        dice, edge = self.dice, self.edge
        for peer in edge.peers:
            if dice.random() < 0.3:
                peer.auto.add("INVITE")
            for method in DONE_ALONE:
                if dice.random() < 0.05:
                    peer.auto.discard(method)
        await edge.carrier.invites(body=None if dice.random() < 0.8 else b"")
        for _ in range(dice.randint(3, 30)):
            await edge.time_passes(dice.choice([*PAUSES_S, edge.wire.delay_s]))
            if self._began and dice.random() < 0.003:
                self.told.append(f"{edge.now:.3f} the house closes")
                self._begin(edge.registry.drain(dice.choice([0, 5, 60])))
            event = dice.choice(self.events)
            self.told.append(f"{edge.now:.3f} {event.__name__}")
            self._begin(event())

    async def calms(self) -> None:
        """Let whoever is still in the call hang up, and wait until all retransmissions are over."""
        await self.edge.time_passes(self.dice.choice([0, 1, 40]))
        if not self._began:
            await self.edge.time_passes(32)
        if not self._began:  # its INVITE was on a connection that broke
            await self.edge.carrier.invites()
            await self.edge.time_passes(8)
        await self.edge.time_passes(35)  # every silent host is back by now
        if len(self.edge.registry):  # it may have missed a BYE sent while it was silent
            for caller in self.edge.carrier.calls.values():
                caller.finish()
                self._begin(caller.sends("BYE"))
        await self.edge.over(len(self.edge.registry) + len(self.edge.records))
        await self.edge.time_passes(80)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, event: Coroutine[Any, Any, object]) -> None:
        self._tasks.add(asyncio.ensure_future(self._does(event)))

    async def _does(self, event: Coroutine[Any, Any, object]) -> None:
        with suppress(Unexpected, SipError):  # the peers have no script here, so any message is unexpected
            await event

    @property
    def _began(self) -> bool:
        return bool(len(self.edge.registry) or self.edge.records)

    def _call(self) -> PeerCall | None:
        peer: Peer = self.dice.choice(self.edge.peers)
        return peer.call

    # The events.

    async def caller_cancels(self) -> None:
        caller = self.edge.carrier.current
        if caller.invite is not None and caller.invite.to_tag is None and _cancellable(caller):
            await caller.cancels()

    async def hangs_up(self) -> None:
        call = self._call()
        if call is not None and not call.over and ";tag=" in call.remote:
            call.finish()
            await call.sends("BYE")

    async def asks(self) -> None:
        call = self._call()
        if call is None or ";tag=" not in call.remote:
            return
        method = self.dice.choice(["INVITE", "UPDATE", "OPTIONS", "REFER", "NOTIFY", "INFO", "MESSAGE"])
        offers = method in ("INVITE", "UPDATE") and self.dice.random() < 0.7
        if method == "INVITE" and not call.answered:
            return
        await call.sends(method, body=(call.sdp or SDP) if offers else b"")

    async def agent_answers(self) -> None:
        agent = self.edge.agent
        if agent.call is None or agent.call.over:
            await agent.invited()
        call = agent.current
        if call.answered or call.invite is None:
            return
        match self.dice.randint(0, 9):
            case 0:
                call.responds(call.invite, 486)
            case 1 | 2:
                call.responds(call.invite, self.dice.choice([180, 183]))
            case _:
                agent.answer(call)

    async def agent_refers(self) -> None:
        call = self.edge.agent.call
        if call is not None:
            target = self.dice.choice(
                [f"tel:{PHONE_NUMBER}"] * 3 + ["tel:+19005550100", "sip:x@evil.example"]
            )
            await call.sends("REFER", headers=[("Refer-To", f"<{target}>")])

    async def phone_answers(self) -> None:
        phone = self.edge.phone
        if phone.call is None or phone.call.over:
            await phone.invited()
        call = phone.current
        if call.answered or call.invite is None:
            return
        match self.dice.randint(0, 9):
            case 0:
                call.responds(call.invite, self.dice.choice([486, 480, 603, 500, 302]))
            case 1 | 2 | 3:
                await phone.rings()
            case _:
                await phone.answers()

    async def forks(self) -> None:
        call = self.dice.choice([self.edge.agent.call, self.edge.phone.call])
        if call is None or call.invite is None or call.invite.to_tag:
            return
        self._branches += 1
        branch = ForkBranch(call, f"branch{self._branches}")
        if self.dice.random() < 0.7:
            branch.rings()
        await self.edge.time_passes(self.dice.choice([0, 0.1, 1]))
        if self.dice.random() < 0.5:
            branch.answers()
        await self.edge.time_passes(self.dice.choice([0, 0.1, 1]))
        if self.dice.random() < 0.3:
            branch.requests(self.dice.choice(["BYE", "UPDATE", "OPTIONS"]))

    async def we_offer(self) -> None:
        legs = [leg for leg in self.edge.core._dialogs.values() if isinstance(leg, Leg)]
        if legs:
            leg = self.dice.choice(legs)
            if leg.dialog is not None and leg.dialog.confirmed and not leg.ended.done():
                await leg.offer()

    async def answers_our_offer(self) -> None:
        call = self._call()
        if call is None or "INVITE" in call.peer.auto:
            return
        for each in reversed(call.trace):
            message = each.message
            if each.direction == "<" and getattr(message, "method", "") == "INVITE" and message.to_tag:
                status = self.dice.choice([200, 200, 200, 491, 491, 488, 481, 408, 500, 100, 180])
                call.responds(message, status, sdp=SDP if status == 200 else None)
                return

    async def acknowledges(self) -> None:
        call = self._call()
        if call is not None and any(asked.request.method == "INVITE" for asked in call._asked.values()):
            call.acks()

    async def decides(self) -> None:
        verdict = self.dice.choice([Connect("yes"), Decline("no"), TakeMessage("later")])
        self.edge.screening.decides(verdict)

    async def repeats(self) -> None:
        """An earlier datagram arrives once more, within the time the network may keep it (T4)."""
        call = self._call()
        if call is not None and not call.flow.reliable:
            oldest = self.edge.now + 20 * self.edge.wire.delay_s - T4_S
            recent = [each for each in call.trace if each.at > oldest]
            said = [each.message for each in recent if each.direction == ">"]
            if said:
                call._put(call.flow, self.dice.choice(said))

    async def cuts(self) -> None:
        flows = self.edge.wire.flows()
        if flows and self.dice.random() < 0.3 and self.edge.rule_checker is not None:
            self.edge.rule_checker.connection_cut = True
            self.edge.wire.cut(self.dice.choice(flows))

    async def presses(self) -> None:
        """Any peer sends a key press by INFO, valid or not."""
        call = self._call()
        if call is not None and call.answered and ";tag=" in call.remote:
            signal = self.dice.choice([b"1", b"1", b"1", b"2", b"5", b"", b"\xff" * 300])
            headers = [("Content-Type", "application/dtmf-relay")]
            await call.sends("INFO", headers=headers, body=b"Signal=" + signal + b"\r\nDuration=9999\r\n")

    async def calls_again(self) -> None:
        """The caller makes another call beside the first; later events concern this one."""
        if self.dice.random() < 0.3:
            await self.edge.carrier.invites()

    async def falls_silent(self) -> None:
        """A host is unplugged for a while; what it sends and is sent over connections meanwhile is lost."""
        if self.edge.rule_checker is not None and self.dice.random() < 0.3:
            host = self.dice.choice([CARRIER, OPENAI, TRUNK])
            self.edge.rule_checker.connection_cut = True
            self.edge.wire.silence(host)
            await self.edge.time_passes(self.dice.choice([0.5, 5, 35]))
            self.edge.wire.silence(host, False)

    async def holds(self) -> None:
        call = self._call()
        if call is not None and call.answered and call.sdp and ";tag=" in call.remote:
            direction = self.dice.choice(["sendonly", "inactive", "sendrecv"])
            await call.sends("INVITE", body=directed(revised(call.sdp, self.dice.randint(1, 9)), direction))

    async def refreshes(self) -> None:
        """One of our legs is refreshed as if its session timer had fired."""
        legs = [leg for leg in self.edge.core._dialogs.values() if isinstance(leg, Leg)]
        if legs:
            leg = self.dice.choice(legs)
            if leg.dialog is not None and leg.dialog.confirmed and not leg.ended.done():
                await leg.refresh()

    async def stray(self) -> None:
        """A response arrives after the final one, or matches no transaction."""
        call = self.dice.choice([self.edge.agent.call, self.edge.phone.call])
        if call is None or call.invite is None or not call.answered:
            return
        answer = call.invite.reply(self.dice.choice([100, 183, 200, 302, 486, 603]), to_tag=call.local_tag)
        answer.headers.add("Contact", call.contact)
        if answer.status != 200:
            call._put(call.flow, answer)


def _cancellable(call: PeerCall) -> bool:
    """§9.1: a CANCEL needs a provisional response first, and is sent once."""
    cancelled = any(each.message.cseq.method == "CANCEL" for each in call.trace)
    return not cancelled and any(each.direction == "<" for each in call.trace)


@pytest.mark.parametrize("seed", range(1, STORIES + 1))
async def test_random_events_in_any_order_leave_nothing_behind(new_edge: NewEdge, seed: int) -> None:
    await a_story(new_edge, seed)


@pytest.mark.parametrize("seed", range(1, ASKED + 1))
async def test_random_events_with_announcement_and_key_confirmation_leave_nothing_behind(
    new_edge: NewEdge, seed: int
) -> None:
    await a_story(new_edge, 10_000 + seed, asked=True)


async def a_story(new_edge: NewEdge, seed: int, *, asked: bool = False) -> None:
    """One story; `asked`: with announcement, recording and whisper before anybody is connected."""
    dice = random.Random(seed)
    ways: dict[str, Any] = {
        "transport": dice.choice(["udp", "udp", "tcp", "tls"]),
        "agent": dice.choice(["udp", "tls"]),
        "phone": dice.choice(["udp", "udp", "tcp"]),
    }
    if asked:
        ways |= {"confirm": dice.choice(list(Confirmation)), "early": dice.choice(list(EarlyMedia))}
        ways |= {"announcement": RECORDED if dice.random() < 0.5 else None}
    with capture_logs() as logs:
        async with race_edge(new_edge, seed, **ways) as edge:
            match dice.randint(0, 9):
                case 0:
                    edge.screener.planned = Ring("known")
                case 1:
                    edge.screener.planned = Refuse(Refusal.BLOCKED)
            edge.ids.uniform = dice.uniform
            edge.wire.delay_s = dice.choice([0.001, 0.02, 0.1, 0.2])
            if dice.random() < 0.7:
                edge.wire.impair(
                    loss=dice.choice([0, 0.1, 0.3]), duplication=dice.choice([0, 0.2]), reordering=0.3
                )
            storm = Storm(edge, dice)
            if asked:
                storm.events += [storm.presses] * 5 + [storm.phone_answers, storm.agent_refers]
            await storm.rages()
            await storm.calms()
            await edge.assert_clean(calls=len(edge.records), faults=False)
    errors = [each for each in logs if each["log_level"] in ("error", "critical")]
    assert not errors, (errors, storm.told)
