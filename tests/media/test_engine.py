"""What the relays of all calls have in common."""

from proxy.media.engine import MediaEngine
from proxy.media.ports import PortPool
from proxy.media.rtcp_timer import RtcpTimer
from proxy.media.session import RelaySession
from tests.kit.ids import CountingIds
from tests.kit.media import MemoryMedia


def a_house(*more: object) -> MediaEngine:
    ports = PortPool(20000, 20009)
    return MediaEngine(MemoryMedia(), ports, "0.0.0.0", "203.0.113.1", CountingIds().bits, lambda: 0.0, *more)


def test_each_ip_version_has_its_home_and_one_is_the_usual() -> None:
    house = a_house(("::", "2001:db8::1"))
    assert house.addresses == {4: ("0.0.0.0", "203.0.113.1"), 6: ("::", "2001:db8::1")}
    assert house.default_ip_version == 4
    assert a_house().addresses.keys() == {4}


def test_reports_are_timed_by_what_the_house_shares_or_by_a_timer_of_its_own() -> None:
    shared = RtcpTimer()
    assert a_house(None, shared).rtcp_timer is shared
    assert a_house().rtcp_timer is not a_house().rtcp_timer


def test_what_one_call_is_told_changes_nothing_for_the_next() -> None:
    house = a_house(("::", "2001:db8::1"))
    one, other = RelaySession(house), RelaySession(house)
    one.use_ip_version("phone", 6)
    assert b"c=IN IP6 2001:db8::1" in one.offer("phone")
    assert b"c=IN IP4 203.0.113.1" in other.offer("phone")
    one.close()
    other.close()
    assert house.ports.lent == 0
