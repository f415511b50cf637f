"""The media engine: what the relay sessions of all calls share."""

from proxy.media.engine import MediaEngine
from proxy.media.periodic_timer import PeriodicTimer
from proxy.media.ports import PortPool
from proxy.media.session import RelaySession
from tests.kit.ids import CountingIds
from tests.kit.media import MemoryMedia


def an_engine(*more: object) -> MediaEngine:
    ports = PortPool(20000, 20009)
    return MediaEngine(MemoryMedia(), ports, "0.0.0.0", "203.0.113.1", CountingIds().bits, lambda: 0.0, *more)


def test_each_ip_version_has_its_address_and_ipv4_is_the_default() -> None:
    engine = an_engine(("::", "2001:db8::1"))
    assert engine.addresses == {4: ("0.0.0.0", "203.0.113.1"), 6: ("::", "2001:db8::1")}
    assert engine.default_ip_version == 4
    assert an_engine().addresses.keys() == {4}


def test_engine_uses_the_given_rtcp_timer_or_its_own() -> None:
    shared = PeriodicTimer()
    assert an_engine(None, shared).rtcp_timer is shared
    assert an_engine().rtcp_timer is not an_engine().rtcp_timer


def test_ip_version_set_for_one_session_does_not_affect_another() -> None:
    engine = an_engine(("::", "2001:db8::1"))
    one, other = RelaySession(engine), RelaySession(engine)
    one.use_ip_version("phone", 6)
    assert b"c=IN IP6 2001:db8::1" in one.offer("phone")
    assert b"c=IN IP4 203.0.113.1" in other.offer("phone")
    one.close()
    other.close()
    assert engine.ports.lent == 0
