"""The least that a B2BUA in Python can do, for UDP ports NEAR (calls in) and FAR (calls out): a yardstick.

It knows one call: INVITE, 180, 200, ACK, and the caller's BYE. For that call it has what a B2BUA needs: its
own Call-ID, tags and Contact on the second leg, rewritten SDP, retransmission of its requests, replays of its
responses, and a line of JSON per call. Nothing else: no CANCEL, no refusals, no media, no limits, no log.
"""

from __future__ import annotations

import gc
import heapq
import itertools
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

HOST = "127.0.0.1"
T1, T2, LINGER_S, TICK_S = 0.5, 4.0, 32.0, 0.05
BATCH = 64
"""Datagrams read per wake-up."""

Address = tuple[str, int]
Key = tuple[str, str]
"""Branch and method of a server transaction."""


@dataclass(slots=True)
class Received:
    """A message, split but not checked."""

    first: str
    headers: dict[str, str]
    """By lower-case name; the last one of several."""
    vias: list[str]
    body: str
    source: Address

    @property
    def method(self) -> str:
        return self.headers["cseq"].partition(" ")[2]

    @property
    def branch(self) -> str:
        return self.vias[0].partition("branch=")[2].partition(";")[0]

    @property
    def contact(self) -> str:
        return self.headers["contact"].partition("<")[2].partition(">")[0]


@dataclass(slots=True)
class Call:
    invite: Received
    tag: str
    """Ours towards the caller."""
    call_id: str
    """Of the second leg."""
    caller: str
    """The From of the second leg."""
    port: int
    callee: str = ""
    target: str = ""
    ack: bytes = b""
    times: dict[str, float] = field(default_factory=dict)


class MinimalB2bua:
    """Answers when the callee does, and hangs up when the caller does."""

    def __init__(self, near: int, far: int, records: Path) -> None:
        self._here, self._far = f"{HOST}:{near}", (HOST, far)
        self._records = records.open("a")
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind((HOST, near))
        self._socket.setblocking(False)
        self._calls: dict[str, Call] = {}
        """By the Call-ID of either leg."""
        self._responses: dict[Key, bytes] = {}
        self._requests: dict[str, bytes] = {}
        """Those without a response yet, by branch."""
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._loop = uvloop.new_event_loop()

    def run(self) -> None:
        self._loop.add_reader(self._socket.fileno(), self._drain)
        self._tick()
        self._loop.run_forever()

    def _drain(self) -> None:
        for _ in range(BATCH):
            try:
                data, source = self._socket.recvfrom(65535)
            except BlockingIOError:
                return
            self._received(_parse(data, source))

    def _after(self, seconds: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), action))

    def _tick(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        self._loop.call_later(TICK_S, self._tick)

    def _received(self, message: Received) -> None:
        if message.first.startswith("SIP/2.0"):
            return self._received_response(message)
        method = message.method
        replay = self._responses.get((message.branch, method))
        if replay is not None:
            self._socket.sendto(replay, message.source)
        elif method == "INVITE":
            self._invited(message)
        elif method == "BYE":
            self._hung_up(message)

    def _received_response(self, message: Received) -> None:
        self._requests.pop(message.branch, None)
        call, status = self._calls.get(message.headers["call-id"]), int(message.first[8:11])
        if call is None or message.method != "INVITE" or status == 100:
            return
        if status < 200:
            self._respond(call.invite, "180 Ringing", call.tag)
        elif call.ack:
            self._socket.sendto(call.ack, self._far)
        else:
            call.callee, call.target = message.headers["to"], message.contact
            call.times["answered"] = time.time()
            call.ack = self._send(call, "ACK", 1, repeated=False)
            self._respond(call.invite, "200 OK", call.tag, self._moved(message.body, call.port + 2))

    def _invited(self, invite: Received) -> None:
        port = 20000 + len(self._calls) * 4 % 8000
        caller = f"<sip:caller@{self._here}>;tag={os.urandom(4).hex()}"
        call = Call(invite, os.urandom(4).hex(), os.urandom(8).hex(), caller, port)
        call.callee, call.target = f"<sip:callee@{HOST}:{self._far[1]}>", f"sip:callee@{HOST}:{self._far[1]}"
        call.times["began"] = time.time()
        self._calls[invite.headers["call-id"]] = self._calls[call.call_id] = call
        self._respond(invite, "100 Trying", "")
        self._send(call, "INVITE", 1, self._moved(invite.body, port))

    def _hung_up(self, bye: Received) -> None:
        call = self._calls.pop(bye.headers["call-id"], None)
        if call is None:
            return self._respond(bye, "481 Call/Transaction Does Not Exist", "")
        self._respond(bye, "200 OK", "")
        self._send(call, "BYE", 2)
        self._after(LINGER_S, lambda: self._calls.pop(call.call_id, None))
        headers = call.invite.headers
        record = {"from": headers["from"], "to": headers["to"], **call.times, "ended": time.time()}
        self._records.write(json.dumps(record) + "\n")

    def _respond(self, request: Received, status: str, tag: str, body: str = "") -> None:
        headers, key = request.headers, (request.branch, request.method)
        to = f"{headers['to']};tag={tag}" if tag else headers["to"]
        vias = "".join(f"Via: {via}\r\n" for via in request.vias)
        self._responses[key] = data = (
            f"SIP/2.0 {status}\r\n{vias}From: {headers['from']}\r\nTo: {to}\r\n"
            f"Call-ID: {headers['call-id']}\r\nCSeq: {headers['cseq']}\r\n{self._end(body)}"
        ).encode()
        self._socket.sendto(data, request.source)
        if status.startswith("200"):
            self._after(LINGER_S, lambda: self._responses.pop(key, None))

    def _send(self, call: Call, method: str, cseq: int, body: str = "", *, repeated: bool = True) -> bytes:
        branch = f"z9hG4bK{next(self._numbers):x}"
        data = (
            f"{method} {call.target} SIP/2.0\r\nVia: SIP/2.0/UDP {self._here};branch={branch};rport\r\n"
            f"Max-Forwards: 69\r\nFrom: {call.caller}\r\nTo: {call.callee}\r\n"
            f"Call-ID: {call.call_id}\r\nCSeq: {cseq} {method}\r\n{self._end(body)}"
        ).encode()
        if repeated:
            self._requests[branch] = data
            self._after(T1, lambda: self._send_again(branch, 2 * T1))
        self._socket.sendto(data, self._far)
        return data

    def _send_again(self, branch: str, interval_s: float) -> None:
        if (data := self._requests.get(branch)) is not None:
            self._socket.sendto(data, self._far)
            self._after(interval_s, lambda: self._send_again(branch, min(2 * interval_s, T2)))

    def _end(self, body: str) -> str:
        content = "Content-Type: application/sdp\r\n" if body else ""
        return f"Contact: <sip:{self._here}>\r\n{content}Content-Length: {len(body)}\r\n\r\n{body}"

    def _moved(self, sdp: str, port: int) -> str:
        """The description with our address and port."""
        lines = sdp.split("\r\n")
        for place, line in enumerate(lines):
            if line.startswith("c="):
                lines[place] = f"c=IN IP4 {HOST}"
            elif line.startswith("o="):
                lines[place] = f"o=- 1 1 IN IP4 {HOST}"
            elif line.startswith("m=audio "):
                lines[place] = f"m=audio {port} {line.split(' ', 2)[2]}"
        return "\r\n".join(lines)


def _parse(data: bytes, source: Address) -> Received:
    head, _, body = data.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers, vias = dict[str, str](), list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        if (name := name.lower()) == "via":
            vias.append(value.strip())
        else:
            headers[name] = value.strip()
    return Received(first, headers, vias, body, source)


if __name__ == "__main__":
    gc.disable()
    MinimalB2bua(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])).run()
