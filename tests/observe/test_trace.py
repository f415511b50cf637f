"""A traced message survives conversion to plain JSON values and back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from proxy.observe.trace import TracedMessage

ENDS = st.tuples(st.sampled_from(["192.0.2.1", "2001:db8::1"]), st.integers(0, 65535))


@given(
    st.builds(
        TracedMessage,
        st.floats(0, 4e9),
        st.just("phone 2"),
        st.booleans(),
        st.just("udp"),
        ENDS,
        ENDS,
        st.binary(),
    )
)
def test_every_traced_message_round_trips_through_json(seen: TracedMessage) -> None:
    assert TracedMessage.of(json.loads(json.dumps(seen.as_dict()))) == seen
