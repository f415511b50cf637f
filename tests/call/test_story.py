"""One test for each way a call can go: the ladder is the test."""

from __future__ import annotations

from proxy.call.outcome import Result
from proxy.lab.audio import CALLER_HZ, PHONE_HZ
from tests.kit.edge import PHONE_NUMBER, Edge


async def test_a_wanted_caller_is_bridged_by_refer(edge: Edge) -> None:
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.agent.receives("NOTIFY", sipfrag=100)
    await edge.phone.rings()
    await edge.phone.answers()
    await edge.agent.receives("NOTIFY", sipfrag=200)
    await edge.agent.receives("BYE")
    await edge.phone.receives_nothing(for_s=3)
    assert edge.phone_audio.hears(CALLER_HZ)
    assert edge.caller_audio.hears(PHONE_HZ)
    await edge.carrier.hangs_up()
    await edge.phone.receives("BYE")
    record = await edge.over()
    assert record.outcome.result is Result.BRIDGED
    assert (record.decision, record.trigger, record.ended_by) == ("ALLOW", "refer", "caller")
    await edge.assert_clean()
