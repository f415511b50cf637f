"""Plays many screened calls at once, each with a random script, and reports those that ended otherwise.

There is no audio: with so many calls, a single process would do nothing else. Sockets, TLS, HTTP, WebSockets
and timers are real.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any

from proxy.call.outcome import Result
from proxy.call.record import CallRecord
from proxy.lab.openai_conversation import Conversation
from proxy.lab.openai_faults import Faults
from proxy.lab.openai_sip import AgentCall
from proxy.lab.peer_call import PeerCall
from proxy.lab.ports import any_pair
from proxy.lab.stage import HERE, Scenery, Stage
from proxy.media.formats import PCMA, PCMU, TELEPHONE_EVENT
from proxy.media.local_sdp import describe
from proxy.media.sdp import Direction
from proxy.media.udp import SocketMedia
from proxy.transport.flow import Address

FIRST = 13475550000
ARRIVE_S = 4.0
"""All calls arrive within this time."""
SETTLE_S = 10.0
PORTS = 4000
WITHIN_S = 45.0
_NUMBER = re.compile(r"\+(\d+)@")

OF_NUMBER = """
confirm = "off"
identity = "original_with_diversion"
"""


@dataclass(frozen=True, slots=True)
class Script:
    """How one call goes, and how it must end."""

    name: str
    result: Result
    trigger: str | None
    """What must have rung the phone last; None if nothing did."""
    caller: str = "talks"
    """``talks`` with the phone and hangs up, ``waits`` to be hung up on, ``leaves``, ``cancels``."""
    phone: str = "answers"
    """``answers``, ``hangs up``, ``rings`` forever; or a status to refuse with."""
    talk: Conversation = field(default_factory=Conversation)
    faults: Faults = field(default_factory=Faults)
    agent_refuses: int | None = None


_QUICK = Conversation(word_s=0.02, think_s=0.05)
ALLOW = _QUICK
REJECT = replace(_QUICK, decision="REJECT", caller_name=None)
MESSAGE = replace(_QUICK, decision="VOICEMAIL")
LONG = replace(_QUICK, decision=None)

SCRIPTS = (
    Script("put through by refer", Result.BRIDGED, "refer", talk=ALLOW),
    Script("the phone hangs up", Result.BRIDGED, "refer", "waits", "hangs up", ALLOW),
    Script("refer answers 500", Result.BRIDGED, "verdict", talk=ALLOW, faults=Faults(refer_status=500)),
    Script("refer brings no REFER", Result.BRIDGED, "verdict", talk=ALLOW, faults=Faults(refer_silent=True)),
    Script("two webhooks", Result.BRIDGED, "refer", talk=ALLOW, faults=Faults(webhook_twice=True)),
    Script("unwanted", Result.DECLINED, None, "waits", talk=REJECT),
    Script("a message", Result.VOICEMAIL, None, "waits", talk=MESSAGE),
    Script("the phone is busy", Result.VOICEMAIL, "refer", "waits", "486", ALLOW),
    Script("the phone declines", Result.VOICEMAIL, "refer", "waits", "603", ALLOW),
    Script("nobody answers", Result.VOICEMAIL, "refer", "waits", "rings", ALLOW),
    Script("the caller hangs up in mid-talk", Result.CALLER_LEFT, None, "leaves", talk=LONG),
    Script("the caller cancels", Result.CALLER_LEFT, None, "cancels", talk=LONG),
    Script("the agent is not there", Result.BRIDGED, "failure", agent_refuses=503),
)


class SilentAudio:
    """A peer's audio that sends nothing and ignores what it receives."""

    def __init__(self) -> None:
        self._address, self._pair = any_pair(SocketMedia(), HERE, lambda packet, source: None)

    def sdp(self) -> bytes:
        formats = PCMU, PCMA, TELEPHONE_EVENT
        return describe((self._address[1], 1), self._address, formats, Direction.SENDRECV)

    def start(self, remote: Address, payload_type: int) -> None: ...
    def secure(self, ours: bytes, theirs: bytes) -> None: ...
    def press(self, key: str) -> None: ...
    def stop(self) -> None: ...

    def close(self) -> None:
        self._pair.close()


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """The result of a crowd."""

    calls: int
    as_scripted: int
    problems: tuple[str, ...]
    left: tuple[str, ...]


class Crowd:
    """A number of calls on one stage; the seed determines their scripts."""

    def __init__(self, calls: int, seed: int) -> None:
        self.chance = random.Random(seed)
        self.scripts = [self.chance.choice(SCRIPTS) for _ in range(calls)]
        self.records: dict[int, CallRecord] = {}
        self._connected = [asyncio.Event() for _ in range(calls)]
        self._all_over = asyncio.Event()
        self._problems: list[str] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def play(self) -> CrowdResult:
        """Make all the calls; returns when they are over."""
        before = asyncio.all_tasks()
        scenery = Scenery(
            agent=self._agent, of_number=OF_NUMBER, ring_limit_s=3.0, ready_limit_s=20.0, media_ports=PORTS
        )
        mute = SilentAudio()
        async with Stage(scenery) as stage:
            stage.records.append(self._over)
            for peer in stage.peers:
                peer.audio = mute
            answering = asyncio.ensure_future(self._phones(stage))
            await asyncio.gather(
                *(self._guarded(n, self._caller(stage, n)) for n in range(len(self.scripts)))
            )
            try:
                async with asyncio.timeout(WITHIN_S):
                    await self._all_over.wait()
            except TimeoutError:
                self._problems.append(f"{len(self.scripts) - len(self.records)} calls were never over")
            answering.cancel()
            await asyncio.gather(answering, *self._tasks, return_exceptions=True)
            left = await self._left(stage)
            self._problems += [f"{peer.name}: {fault}" for peer in stage.peers for fault in peer.faults[:3]]
        mute.close()
        mine = asyncio.current_task()
        left += [f"task {task.get_name()}" for task in asyncio.all_tasks() - before if task is not mine]
        wrong = [self._wrong(n) for n in range(len(self.scripts))]
        self._problems += [each for each in wrong if each]
        good = sum(each is None for each in wrong)
        return CrowdResult(len(self.scripts), good, tuple(self._problems), tuple(left))

    # The roles.

    async def _caller(self, stage: Stage, n: int) -> None:
        script = self.scripts[n]
        await asyncio.sleep(self.chance.uniform(0, ARRIVE_S))
        call = await stage.carrier.invites(caller=f'"Caller" <sip:+{FIRST + n}@sip.signalwire.com>')
        match script.caller:
            case "cancels":
                await call.receives(180)
                await call.cancels()
                await call.receives(487)
                return
            case "leaves":
                await call.receives(200)
                await asyncio.sleep(self.chance.uniform(0, 1))
            case "talks":
                await call.receives(200)
                await self._connected[n].wait()
                await asyncio.sleep(1 + self.chance.random())
            case _:
                return
        if not call.over:
            await call.hangs_up()

    async def _phones(self, stage: Stage) -> None:
        while True:
            call = await stage.phone.invited(within_s=10 * WITHIN_S)
            assert call.invite is not None
            n = _who(list(call.invite.headers)) - FIRST
            task = asyncio.ensure_future(self._guarded(n, self._phone(stage, call, n)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _phone(self, stage: Stage, call: PeerCall, n: int) -> None:
        script, phone = self.scripts[n], stage.phone
        if not self._still(stage, call):
            return
        await phone.rings()
        if script.phone == "rings":
            return
        await asyncio.sleep(self.chance.uniform(0, 1))
        if not self._still(stage, call):
            return
        if script.phone.isdecimal():
            await phone.rejects(int(script.phone))
            return
        await phone.answers()
        self._connected[n].set()
        if script.phone == "hangs up":
            await asyncio.sleep(1 + self.chance.random())
            if not call.over:
                await call.hangs_up()

    @staticmethod
    def _still(stage: Stage, call: PeerCall) -> bool:
        """Whether the call still waits for the phone.

        It becomes the phone's current call until the next await.
        """
        stage.phone.call = call
        return not call.over

    def _agent(self, stage: Stage, call: AgentCall) -> None:
        script = self.scripts[_who(call.headers) - FIRST]
        if script.agent_refuses is not None:
            stage.spawn(call.reject(script.agent_refuses))
            return
        stage.openai_api.conversation, stage.openai_api.faults = script.talk, script.faults
        stage.announces(call)

    # The results.

    def _over(self, record: CallRecord) -> None:
        self.records[int((record.caller or "+0")[1:]) - FIRST] = record
        if len(self.records) == len(self.scripts):
            self._all_over.set()

    async def _guarded(self, n: int, work: Coroutine[Any, Any, None]) -> None:
        """Run a caller's or phone's script; an exception only fails that call."""
        try:
            await work
        except (Exception, TimeoutError) as error:
            first = str(error).partition("\n")[0] or type(error).__name__
            self._problems.append(f"{self.scripts[n].name}: {first}")

    async def _left(self, stage: Stage) -> list[str]:
        deadline = asyncio.get_running_loop().time() + SETTLE_S
        while (left := stage.left_over()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.1)
        return left

    def _wrong(self, n: int) -> str | None:
        script, record = self.scripts[n], self.records.get(n)
        if record is None or record.outcome is None:
            return f"{script.name}: no record"
        found = record.outcome.result, record.trigger
        if found == (script.result, script.trigger):
            return None
        return f"{script.name}: {found[0].value} by {found[1]}: {record.outcome.reason}; {record.steps[-3:]}"


def _who(headers: list[tuple[str, str]]) -> int:
    """The caller's number, from the From header of an INVITE."""
    found = _NUMBER.search(next(value for name, value in headers if name.lower() == "from"))
    return int(found[1]) if found else 0
