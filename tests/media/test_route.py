"""How packets of a format go to the other leg: as is, renumbered, transcoded, or not at all."""

import pytest

from proxy.media.formats import EVENT_KEY
from proxy.media.g711 import PCMA_TO_PCMU
from proxy.media.negotiation import Agreement, read_offer
from proxy.media.route import Route, route_for

OFFER = """v=0
o=- 1 1 IN IP4 198.51.100.1
s=-
c=IN IP4 198.51.100.1
t=0 0
m=audio 4000 RTP/AVP {}
a=rtpmap:96 telephone-event/8000
a=rtpmap:107 opus/48000/2
"""


def agreed(formats: str) -> Agreement:
    return read_offer(OFFER.format(formats).encode(), ip_version=4, voice_key=None, anchor=None).agreement


@pytest.mark.parametrize(
    ("formats", "key", "route"),
    [
        ("0 96", "pcmu/8000", Route(0, None, 8000, False)),
        ("0 96", "pcma/8000", Route(0, PCMA_TO_PCMU, 8000, False)),
        ("0 96", EVENT_KEY, Route(96, None, 8000, True)),
        ("0", EVENT_KEY, None),
        ("0", "g722/8000", None),
        ("107", "opus/48000/2", Route(107, None, 48000, False)),
        ("107", "pcmu/8000", None),
    ],
)
def test_format_is_transcoded_renumbered_or_dropped_as_the_peer_agreed(formats, key, route):
    assert route_for(key, agreed(formats)) == route
