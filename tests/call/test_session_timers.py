"""Session timers in long calls: each leg has its own, and a leg that goes silent ends the call (RFC 4028)."""

from __future__ import annotations

from proxy.call.outcome import Result
from proxy.sip.message import Request
from tests.kit.edge import PHONE_NUMBER, Edge, NewEdge, leg_ends, summary

TAKES_UPDATE = ("Allow", "INVITE, ACK, BYE, CANCEL, UPDATE")
AGREED = ("Session-Expires", "1200;refresher=uac")


async def bridges(edge: Edge) -> None:
    """Like `edge.bridges`, but the phone agrees to a timer of 20 minutes and leaves the refreshes to us."""
    await edge.connects()
    await edge.agent.refers(f"tel:{PHONE_NUMBER}")
    await edge.phone.answers(headers=(TAKES_UPDATE, AGREED))
    await edge.agent.receives("BYE")


def counted(edge: Edge, method: str) -> int:
    """How many requests with this method we sent to the phone."""
    seen = [each.message for each in edge.phone.current.trace if each.direction == "<"]
    return len([each for each in seen if isinstance(each, Request) and each.method == method])


async def test_an_hour_long_call_is_refreshed_on_each_leg_by_the_agreed_refresher(new_edge: NewEdge) -> None:
    """The carrier refreshes its leg every 5 minutes by re-INVITE, we the phone's every 10 by UPDATE."""
    async with new_edge(audio=False) as edge:
        await bridges(edge)
        for minute in range(0, 60, 5):
            await edge.time_passes(300)
            answer = await edge.carrier.reinvites()
            assert (answer.status, answer.headers.get("Session-Expires")) == (200, "600;refresher=uac")
            if minute % 10 == 5:
                update = await edge.phone.receives("UPDATE")
                edge.phone.responds(update, 200, headers=[AGREED])
        await edge.time_passes(1)
        assert (counted(edge, "UPDATE"), counted(edge, "BYE")) == (6, 0)
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        await edge.assert_clean()


async def test_a_481_to_our_refresh_of_the_phones_leg_ends_the_call_rfc4028_10(
    new_edge: NewEdge,
) -> None:
    async with new_edge(audio=False) as edge:
        await bridges(edge)
        await edge.time_passes(300)
        await edge.carrier.reinvites()
        update = await edge.phone.receives("UPDATE", within_s=400)
        edge.phone.responds(update, 481)
        bye = await edge.carrier.receives("BYE")
        assert (bye.headers.get("Reason") or "").startswith("Q.850;cause=16")
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "phone")
        assert leg_ends(edge.record)[-1] == ("phone", "the peer could not be reached")
        await edge.assert_clean()


async def test_a_caller_that_stops_refreshing_gets_bye_before_its_session_expires_rfc4028_10(
    new_edge: NewEdge,
) -> None:
    async with new_edge(audio=False) as edge:
        await bridges(edge)
        began = edge.now
        bye = await edge.carrier.receives("BYE", within_s=700)
        assert edge.now - began < 568.1 < edge.now - began + 2
        assert "cause=102" in (bye.headers.get("Reason") or "")
        await edge.phone.receives("BYE")
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
        await edge.assert_clean()


async def test_a_phones_422_is_followed_by_an_invite_with_its_min_se_rfc4028_7_3(new_edge: NewEdge) -> None:
    async with new_edge(audio=False) as edge:
        await edge.connects()
        await edge.agent.refers(f"tel:{PHONE_NUMBER}")
        await edge.phone.rejects(422, headers=(("Min-SE", "3600"),))
        await edge.phone.answers()
        await edge.agent.receives("BYE")
        invite = edge.phone.current.invite
        assert invite is not None
        assert (invite.headers.get("Session-Expires"), invite.headers.get("Min-SE")) == ("3600", "3600")
        await edge.carrier.hangs_up()
        assert summary(await edge.over()) == (Result.BRIDGED, "ALLOW", "refer", "caller")
