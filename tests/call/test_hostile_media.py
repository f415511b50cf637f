"""What hostile phones, callers and voices do while a call is put through: nothing comes of it."""

from __future__ import annotations

from proxy.call.outcome import Result
from proxy.call.sound import EarlyMedia, Sound
from proxy.lab.audio import CALLER_HZ, PHONE_HZ, RINGBACK_HZ
from tests.call.test_early_media import rings_early
from tests.call.test_whisper import Voice, asking
from tests.kit.edge import NewEdge, story


async def test_who_played_early_is_heard_no_more_while_he_is_asked(new_edge: NewEdge) -> None:
    """A voicemail that begins in early media must not greet the caller once it has picked up."""
    number = asking(sound=Sound(early_media=EarlyMedia.PASS))
    async with new_edge(number=number, speech=Voice()) as edge:
        await rings_early(edge)
        assert edge.caller_audio.hears(PHONE_HZ)
        await edge.phone.answers()
        await edge.passes(0.5)
        asked = edge.now
        await edge.passes(6)
        assert not edge.caller_audio.hears(PHONE_HZ, since=asked)
        assert not edge.phone_audio.hears(CALLER_HZ, since=asked)
        assert edge.caller_audio.hears(RINGBACK_HZ, since=asked)
        edge.phone.presses("1")
        await edge.carrier.receives(200)
        await edge.passes(1)
        assert edge.caller_audio.hears(PHONE_HZ, since=edge.now - 0.5)
        await edge.carrier.hangs_up()
        assert story(await edge.over())[0] is Result.BRIDGED
        await edge.assert_clean()
