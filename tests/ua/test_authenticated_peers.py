"""Doors: every one is asked, in order."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.sip.message import Request
from proxy.transport.flow import Flow, Target
from proxy.ua.authenticated_peers import Doors, Meeting
from proxy.ua.transactions import ServerTransaction
from tests.kit import messages
from tests.ua.house import FAR, House


@dataclass
class OneDoor:
    meeting: Meeting
    known: bool = False
    taken: bool = False
    heard: list[str] = field(default_factory=list)

    def knows(self, flow: Flow) -> bool:
        return self.known

    def trunk(self, flow: Flow) -> str | None:
        return "carrier" if self.known else None

    def meets(self, request: Request, flow: Flow, size_bytes: int) -> Meeting:
        self.heard.append(f"meets {size_bytes}")
        return self.meeting

    def unproven(self, request: Request, flow: Flow) -> bool:
        return self.known and not self.taken

    def takes(self, transaction: ServerTransaction) -> bool:
        return self.taken

    def lost(self, flow: Flow) -> None:
        self.heard.append("lost")


async def test_the_first_door_that_answers_has_the_stranger(house: House) -> None:
    doors = Doors()
    flow = await house.network.connect(Target("udp", (FAR, 5060), FAR))
    assert not doors.admit(messages.invite(), flow, 7, house)
    assert house.turned_away == [FAR]
    ignoring, asking, last = (OneDoor(each) for each in (Meeting.IGNORED, Meeting.SEEN_TO, Meeting.LET_IN))
    for door in (ignoring, asking, last):
        doors.open(door)
    assert not doors.admit(messages.invite(), flow, 7, house)
    assert house.turned_away == [FAR]
    assert (ignoring.heard, asking.heard, last.heard) == (["meets 7"], ["meets 7"], [])
    asking.meeting = Meeting.IGNORED
    assert doors.admit(messages.invite(), flow, 7, house)


async def test_one_door_that_knows_a_peer_is_enough_and_all_hear_of_a_lost_connection(house: House) -> None:
    doors = Doors()
    flow = await house.network.connect(Target("udp", (FAR, 5060), FAR))
    one, other = OneDoor(Meeting.IGNORED), OneDoor(Meeting.IGNORED, known=True)
    doors.open(one)
    assert not doors.know(flow)
    doors.open(other)
    assert doors.know(flow)
    doors.lost(flow)
    assert one.heard == other.heard == ["lost"]
