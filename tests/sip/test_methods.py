"""The registered SIP methods."""

from proxy.sip.methods import KNOWN_METHODS
from proxy.ua.capabilities import ALLOW


def test_every_allowed_method_is_a_known_method_rfc3261_21_5_2() -> None:
    assert KNOWN_METHODS.issuperset(ALLOW.split(", "))
    assert "invite" not in KNOWN_METHODS
