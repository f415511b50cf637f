"""A phone that redirects the call while other phones of its user ring (RFC 3261 §16.7, step 4)."""

from __future__ import annotations

import pytest

from proxy.call.outcome import OnFailure, Result
from proxy.lab.audio import PHONE_HZ
from tests.call.test_ringing import TRUNKED
from tests.kit.edge import HOST, PHONE_NUMBER, NewEdge, leg_ends, summary
from tests.kit.office import ALICE, BOB, an_office, has_received

FORWARDED = (("Contact", f"<sip:{PHONE_NUMBER}@pbx.example.com>"),)


async def test_the_redirection_rings_at_once_beside_the_others(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED) as office:
        edge, desk = office.edge, await office.desk()
        app = await office.desk("192.0.2.102")
        await edge.carrier.invites()
        began = edge.now
        await app.rings()
        await desk.rejects(302, headers=FORWARDED)
        await edge.phone.answers()
        assert edge.now - began < 1
        await app.receives("CANCEL")
        await edge.carrier.receives(200)
        await edge.time_passes(1)
        assert edge.caller_audio is not None
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.carrier.hangs_up()
        record = await edge.over()
        assert "redirected: by 302 to another destination of this number" in record.steps
        assert [name for name, _ in leg_ends(record)] == ["caller", "phone", "phone 2", "phone 3"]
        assert summary(record)[0] is Result.BRIDGED
        await office.assert_clean()


async def test_it_rings_its_full_time_and_its_failure_counts_in_place_of_the_302(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED, on_failure=OnFailure.REJECT) as office:
        edge, desk = office.edge, await office.desk()
        app = await office.desk("192.0.2.102")
        await edge.carrier.invites()
        began = edge.now
        await app.rings()
        await desk.rings()
        await edge.time_passes(20)
        await desk.rejects(302, headers=FORWARDED)
        await edge.phone.rings()
        await edge.time_passes(20)
        assert has_received(app, "CANCEL")
        await edge.phone.rejects(486)
        await edge.carrier.receives(486)
        assert 40 < edge.now - began < 42
        await office.assert_clean()


async def test_nowhere_is_rung_that_is_not_configured(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, TRUNKED, on_failure=OnFailure.REJECT) as office:
        edge, desk = office.edge, await office.desk()
        app = await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await app.rings()
        await desk.rejects(302, headers=(("Contact", "<sip:+19005550000@premium.example.com>"),))
        await edge.time_passes(1)
        assert not edge.phone.calls
        await app.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        await office.assert_clean()


@pytest.mark.parametrize("domain", [HOST, HOST.upper(), "registered", f"{HOST}:5060;user=phone"])
async def test_a_colleague_is_named_by_our_domain_as_a_phone_writes_it(
    new_edge: NewEdge, domain: str
) -> None:
    async with an_office(new_edge, ALICE, BOB) as office:
        edge, desk = office.edge, await office.desk()
        bob = await office.desk("192.0.2.102", user="bob")
        await edge.carrier.invites()
        await desk.rejects(302, headers=(("Contact", f"<sip:bob@{domain}>"),))
        await bob.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        assert "redirected: by 302 to another destination of this number" in (await edge.over()).steps
        await office.assert_clean()


@pytest.mark.parametrize("contact", ["<sip:bob@company.example>", f"<sip:carol@{HOST}>", "<tel:bob>"])
async def test_nobody_else_of_that_name_is_taken_for_the_colleague(new_edge: NewEdge, contact: str) -> None:
    async with an_office(new_edge, ALICE, BOB) as office:
        edge, desk = office.edge, await office.desk()
        bob = await office.desk("192.0.2.102", user="bob")
        await edge.carrier.invites()
        await desk.rejects(302, headers=(("Contact", contact),))
        await bob.answers()  # as the second in turn
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        steps = (await edge.over()).steps
        assert "redirection not followed: it leads to no configured destination" in steps
        await office.assert_clean()


async def test_where_nobody_is_registered_the_others_ring_on(new_edge: NewEdge) -> None:
    async with an_office(new_edge, ALICE, BOB) as office:
        edge, desk = office.edge, await office.desk()
        app = await office.desk("192.0.2.102")
        await edge.carrier.invites()
        await desk.rejects(302, headers=(("Contact", f"<{BOB.uri}>"),))
        await edge.time_passes(1)
        await app.answers()
        await edge.carrier.receives(200)
        await edge.carrier.hangs_up()
        assert "not called: bob is not registered" in (await edge.over()).steps
        await office.assert_clean()
