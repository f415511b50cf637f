"""A scripted voice-AI vendor: a `Provider` played by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from screening.provider import (
    Event,
    ProviderError,
    ResponseBegan,
    ResponseEnded,
    SoundBegan,
    SoundEnded,
    ToolCalled,
)
from screening.talk.briefing import Briefing
from screening.talk.tools import DECIDE


class ScriptedVendor:
    """Records every command with its time; the test decides what comes back, and when."""

    def __init__(self) -> None:
        self.began = asyncio.get_running_loop().time()
        self.verbs: list[tuple[float, str]] = []
        self.said: list[str] = []
        self.outputs: dict[str, Mapping[str, object]] = {}
        """Results of tool calls, by id."""
        self.fails: dict[str, ProviderError | Exception] = {}
        self.takes_s: dict[str, float] = {}
        self.events: asyncio.Queue[Event | None] = asyncio.Queue()
        self.goodbye_s: float | None = 2.0
        """How long each sentence after the greeting plays; None: nothing is ever said."""
        self.closed = False
        self.briefing: Briefing | None = None
        """The briefing the call was accepted with."""
        self._spoken = 0

    # The port.

    async def accept(self, call_id: str, briefing: Briefing | None = None) -> None:
        self.briefing = briefing
        await self._verb(f"accept {call_id}")

    async def reject(self, call_id: str) -> None:
        await self._verb(f"reject {call_id}")

    async def refer(self, call_id: str, target: str) -> None:
        await self._verb(f"refer {target}")

    async def hang_up(self, call_id: str) -> None:
        await self._verb(f"hang_up {call_id}")

    @asynccontextmanager
    async def attach(self, call_id: str) -> AsyncIterator[ScriptedSession]:
        await self._verb(f"attach {call_id}")
        yield ScriptedSession(self)

    async def close(self) -> None:
        self.closed = True

    async def _verb(self, verb: str) -> None:
        self.verbs.append((self.now, verb))
        name = verb.split()[0]
        await asyncio.sleep(self.takes_s.get(name, 0.0))
        if name in self.fails:
            raise self.fails[name]

    # For the test.

    @property
    def now(self) -> float:
        return round(asyncio.get_running_loop().time() - self.began, 3)

    @property
    def done(self) -> list[str]:
        return [verb.split()[0] for _, verb in self.verbs]

    def emits(self, *events: Event) -> None:
        for event in events:
            self.events.put_nowait(event)

    def drops(self) -> None:
        """Lose the session for good."""
        self.events.put_nowait(None)

    def decides(self, decision: str, call: str = "tool1", response: str = "r1", **more: object) -> None:
        """Have the agent call the decision tool, in a response that is silent unless the test
        says otherwise.
        """
        arguments = json.dumps({"decision": decision, "reason": "Anna about the boiler", **more})
        self.emits(
            ResponseBegan(response),
            ToolCalled(call, DECIDE, arguments, response),
            ResponseEnded(response, "completed"),
        )

    def speaks(self, response: str, seconds: float) -> None:
        later = asyncio.get_running_loop().call_later
        self.emits(ResponseBegan(response), SoundBegan(response))
        later(seconds / 2, self.emits, ResponseEnded(response, "completed"))
        later(seconds, self.emits, SoundEnded(response))


class ScriptedSession:
    """The session of the one call."""

    def __init__(self, vendor: ScriptedVendor) -> None:
        self._vendor = vendor

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._vendor.events.get()) is not None:
            yield event

    async def speak(
        self, *, tools: bool = True, say: str | None = None, must_call: str | None = None
    ) -> None:
        vendor = self._vendor
        told = f"must call {must_call}" if must_call else "speak" if tools else "speak without tools"
        vendor.said.append(f"{told}: {say}" if say else told)
        if "speak" in vendor.fails:
            raise vendor.fails["speak"]
        vendor._spoken += 1
        if vendor._spoken > 1 and vendor.goodbye_s is not None:
            vendor.speaks(f"said{vendor._spoken}", vendor.goodbye_s)

    async def send_tool_result(self, call: ToolCalled, output: Mapping[str, object]) -> None:
        self._vendor.said.append(f"answer {call.id} ok={output['ok']}")
        self._vendor.outputs[call.id] = output
        if "answer" in self._vendor.fails:
            raise self._vendor.fails["answer"]

    async def allow_interruption(self) -> None:
        self._vendor.said.append("let interrupt")

    async def inform(self, text: str) -> None:
        self._vendor.said.append(f"inform {text}")
