"""Runs baresip in a process of its own, which it requires: commands on stdin, events on stdout.

Both are JSON, one per line: a command is a list of its name and arguments, an event is an object. Anything
else on stdout is written by baresip: every message that it sends and receives.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import struct
import sys
from typing import Any

from baresip import Account, AudioNotActive, AudioRestarted, BaresipError, Call, Config, UserAgent
from baresip.events import StackEvent
from baresip.runtime import Runtime

TONES = (500, 700, 900)
FRAME_S = 0.02
LOUD = 1000
"""Minimum amplitude (of 32768) at which a tone counts as heard in a frame."""


def tell(what: str, **facts: object) -> None:
    # A single write, on a line of its own: another thread writes baresip's messages.
    os.write(sys.stdout.fileno(), f"\n{json.dumps({'what': what, **facts})}\n".encode())


def strength(samples: tuple[int, ...], tone: int, rate: int) -> float:
    """The amplitude of one tone in a frame."""
    turn = 2 * math.pi * tone / rate
    cosine = sum(sample * math.cos(turn * i) for i, sample in enumerate(samples))
    sine = sum(sample * math.sin(turn * i) for i, sample in enumerate(samples))
    return 2 * math.hypot(cosine, sine) / len(samples)


class Softphone:
    """One account with one call at a time; it sends its tone and reports the tones it receives."""

    def __init__(self, runtime: Runtime, agent: UserAgent, *, answers: bool) -> None:
        """`answers`: whether it answers every call automatically."""
        self._agent, self._answers = agent, answers
        self._answering: asyncio.Task[None] | None = None
        self._call: Call | None = None
        self._heard: dict[int, int] = {}
        # Not on the call: it may ring before `dial` has returned it.
        runtime.subscribe(self._watch)
        agent.on_incoming(self._rings)

    def _watch(self, event: StackEvent) -> None:
        tell(event.event.name.lower(), text=event.text)

    def _rings(self, call: Call) -> None:
        self._takes(call)
        if self._answers:
            self._answering = asyncio.ensure_future(call.answer())

    def _takes(self, call: Call) -> None:
        self._call = call
        call.on_dtmf(lambda key: tell("dtmf", text=key.digit))

    async def listen(self) -> None:
        """Count the frames of each tone, and report each change of a count."""
        while True:
            await asyncio.sleep(FRAME_S)
            while self._hears_a_frame():
                pass

    def _hears_a_frame(self) -> bool:
        """Read one frame and count its tones; returns whether there was a frame."""
        if self._call is None:
            return False
        try:
            rate = self._call.audio.info().rx_sample_rate
            frame = self._call.audio.read(2 * int(rate * FRAME_S))
        except (AudioNotActive, AudioRestarted):
            return False
        if not frame:
            return False
        samples = struct.unpack(f"<{len(frame) // 2}h", frame)
        for tone in TONES:
            if strength(samples, tone, rate) > LOUD:
                self._heard[tone] = self._heard.get(tone, 0) + 1
                tell("heard", tone=tone, frames=self._heard[tone])
        return True

    async def do(self, command: str, *words: str) -> None:
        """Run one command; its outcome is reported as events."""
        if command == "dial":
            self._takes(await self._agent.dial(*words))
            return
        if command in ("register", "unregister"):
            await getattr(self._agent, command)()
        else:
            assert self._call is not None
            await getattr(self._call, command)(*words)
        tell(f"did_{command}")


async def main(settings: dict[str, Any]) -> None:
    runtime = Runtime()
    await runtime.start(
        Config(
            net_interface="127.0.0.1",
            audio_source=f"ausine,{settings['tone']}",
            sip_trace=True,
            extra_config_text="\n".join(settings["config"]),
        )
    )
    registers = "registrar" in settings
    account = Account(
        settings["user"],
        settings["registrar"] if registers else f"127.0.0.1:{settings['port']}",
        settings["password"] if registers else "",
        reg_interval=60 if registers else 0,
        transport=settings["transport"],
        extra_params=tuple(settings["extra"]),
    )
    phone = Softphone(
        runtime, await UserAgent.create(runtime, account), answers=settings.get("answers", False)
    )
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    listening = loop.create_task(phone.listen())
    tell("up")
    while line := await commands.readline():
        command = json.loads(line)
        try:
            await phone.do(*command)
        except BaresipError as error:
            tell("failed", text=f"{command[0]}: {error}")
    listening.cancel()
    await runtime.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("baresip.native.sip").setLevel(logging.DEBUG)
    asyncio.run(main(json.loads(sys.argv[1])))
