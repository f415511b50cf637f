"""Caller and callee in one process with one clock: measures the delays of INVITEs and responses.

Run as ``python -m bench.probe NEAR PORT RATE SECONDS``: calls go to the user ``probe`` at UDP port NEAR, and
are received at PORT. The load is open: calls start on schedule, whether or not earlier ones are finished.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
HOLD_NS: Final = 200_000_000
USER: Final = "+134755"
"""The caller's number without the five digits that distinguish the calls."""
LAST_NS: Final = 1_000_000_000
"""How long responses are awaited after the last call."""

NOWHERE: Final = 6004
"""A port for SDP from which no RTP is sent."""


def sdp(port: int, profile: str = "RTP/AVP", *lines: str) -> str:
    """Make an offer or an answer: PCMU at that port of HOST."""
    return "\r\n".join(
        [
            "v=0", f"o=probe 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0",
            f"m=audio {port} {profile} 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", *lines, "",
        ]
    )  # fmt: skip


def audio_port(text: str) -> int | None:
    """Return the audio port in an SDP; None if there is none."""
    found = re.search(r"^m=audio (\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


@dataclass(slots=True)
class Timed:
    """When an INVITE was sent, arrived, rang and was answered, in nanoseconds of the monotonic clock."""

    sent: int
    arrived: int | None = None
    rang: int | None = None
    """A B2BUA may ring by itself, before the callee does."""
    answered: int | None = None
    caller_sends_to: int | None = None
    """The middle box's port for the caller's audio; then for the callee's."""
    callee_sends_to: int | None = None


class Probe:
    """Both ends of its own calls."""

    def __init__(
        self, near: int, port: int, *, audio: tuple[int, int] = (NOWHERE, NOWHERE),
        answer: Callable[[str], str] | None = None, hold_ns: int | None = HOLD_NS,
    ) -> None:  # fmt: skip
        """`audio`: ports of the caller's and of the callee's RTP.

        `answer` makes the callee's SDP for an INVITE, if not the plain one. `hold_ns`: None never hangs up.
        """
        self._audio, self._hold_ns = audio, hold_ns
        self._answer = answer or (lambda invite: sdp(audio[1]))
        self._near = (HOST, near)
        self._caller, self._callee = _bound(0), _bound(port)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._caller, selectors.EVENT_READ, self._to_caller)
        self._selector.register(self._callee, selectors.EVENT_READ, self._to_callee)
        self.calls: dict[str, Timed] = {}
        self._byes: list[tuple[int, bytes]] = []

    def run(self, rate: float, seconds: float) -> None:
        """Make the calls; returns a little after the last."""
        start, step = time.perf_counter_ns(), round(1e9 / rate)
        ends = start + round(seconds * 1e9)
        due = start
        while (now := time.perf_counter_ns()) < ends + LAST_NS:
            if due <= now and due < ends:
                self._call()
                due += step
            while self._byes and self._byes[0][0] <= now:
                self._caller.sendto(self._byes.pop(0)[1], self._near)
            wakes = [due if due < ends else ends + LAST_NS, *(at for at, _ in self._byes[:1])]
            wait_s = max(0.0, (min(wakes) - time.perf_counter_ns()) / 1e9)
            for key, _ in self._selector.select(wait_s):
                key.data()

    def close(self) -> None:
        """Close both sockets, without ending the calls."""
        self._selector.close()
        self._caller.close()
        self._callee.close()

    def _call(self) -> None:
        call = _call_id(self._port, len(self.calls))
        uri, offer = f"sip:probe@{HOST}:{self._near[1]}", sdp(self._audio[0])
        invite = self._request(uri, "INVITE", 1, call, "", [], offer)
        self.calls[call] = Timed(time.perf_counter_ns())
        self._caller.sendto(invite, self._near)

    def _to_caller(self) -> None:
        text, now = self._caller.recv(65535).decode(), time.perf_counter_ns()
        call, cseq = _one(text, "Call-ID"), _one(text, "CSeq")
        timed = self.calls[call]
        if text.startswith("SIP/2.0 180"):
            timed.rang = timed.rang or now
        if text.startswith("SIP/2.0 200") and cseq.endswith("INVITE"):
            timed.answered = timed.answered or now
            timed.caller_sends_to = audio_port(text)
            uri = _address(_one(text, "Contact"))
            tag, routes = _one(text, "To").partition(";")[2], _all(text, "Record-Route")[::-1]
            self._caller.sendto(self._request(uri, "ACK", 1, call, tag, routes), self._near)
            if self._hold_ns is not None:
                self._byes.append((now + self._hold_ns, self._request(uri, "BYE", 2, call, tag, routes)))

    def _to_callee(self) -> None:
        (data, source), now = self._callee.recvfrom(65535), time.perf_counter_ns()
        text = data.decode()
        if text.startswith("INVITE "):
            timed = self.calls.get(_call_id(self._port, _number(text))) or self._oldest()
            if timed is not None and timed.arrived is None:
                timed.arrived, timed.callee_sends_to = now, audio_port(text)
            for status, body in (("100 Trying", ""), ("180 Ringing", ""), ("200 OK", self._answer(text))):
                self._callee.sendto(self._response(text, status, body), source)
        elif text.startswith("BYE "):
            self._callee.sendto(self._response(text, "200 OK", ""), source)

    def _oldest(self) -> Timed | None:
        """The call that has waited longest: a middle box may replace the caller's number."""
        return next((timed for timed in self.calls.values() if timed.arrived is None), None)

    @property
    def _port(self) -> int:
        return int(self._caller.getsockname()[1])

    def _request(
        self, uri: str, method: str, cseq: int, call: str, tag: str, routes: list[str], body: str = ""
    ) -> bytes:
        number = call.partition("-")[0]
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {HOST}:{self._port};branch=z9hG4bKprobe{method}{number}p{self._port}",
            "Max-Forwards: 70",
            *(f"Route: {route}" for route in routes),
            f"From: <sip:{USER}{number}@{HOST}:{self._port}>;tag=probe{number}",
            f"To: <sip:probe@{HOST}:{self._near[1]}>" + (f";{tag}" if tag else ""),
            f"Call-ID: {call}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:{USER}{number}@{HOST}:{self._port}>",
        ]
        return _whole(head, body)

    def _response(self, request: str, status: str, body: str) -> bytes:
        to = _one(request, "To")
        head = [f"SIP/2.0 {status}"]
        for name in ("Via", "Record-Route"):
            head += [f"{name}: {value}" for value in _all(request, name)]
        head += [f"{name}: {_one(request, name)}" for name in ("From", "Call-ID", "CSeq")]
        head.append(f"To: {to}" + ("" if "tag=" in to or status.startswith("100") else ";tag=callee"))
        head.append(f"Contact: <sip:probe@{HOST}:{self._callee.getsockname()[1]}>")
        return _whole(head, body)


def _whole(head: list[str], body: str) -> bytes:
    if body:
        head = [*head, "Content-Type: application/sdp"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", body]).encode()


def _bound(port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((HOST, port))
    return bound


def _all(text: str, name: str) -> list[str]:
    lines = re.findall(
        rf"^{name}:[ \t]*(.*?)\r?$", text.partition("\r\n\r\n")[0], re.MULTILINE | re.IGNORECASE
    )
    return [value.strip() for line in lines for value in line.split(",")]


def _one(text: str, name: str) -> str:
    return _all(text, name)[0]


def _address(contact: str) -> str:
    return contact.partition("<")[2].partition(">")[0] or contact.partition(";")[0]


def _call_id(port: int, number: int) -> str:
    return f"{number:05d}-probe-{port}@{HOST}"


def _number(invite: str) -> int:
    """The number of the call, from the caller's number; -1 if that was replaced."""
    found = re.search(rf"sip:{re.escape(USER)}(\d{{5}})@", _one(invite, "From"))
    return int(found[1]) if found else -1


def main() -> None:
    near, port, rate, seconds = sys.argv[1:]
    probe = Probe(int(near), int(port))
    probe.run(float(rate), float(seconds))
    calls = probe.calls.values()
    spans = {
        name: [(at - call.sent) / 1000 for call in calls if (at := getattr(call, name)) is not None]
        for name in ("arrived", "rang", "answered")
    }
    print(json.dumps({"calls": len(calls), **spans}))


if __name__ == "__main__":
    main()
