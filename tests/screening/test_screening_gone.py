"""A finished screening is freed at once, by reference counting alone, without the garbage collector."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from screening.contract import News
from screening.provider import CallerPressed, ProviderError, ResponseBegan, SoundBegan
from screening.realtime_screening import RealtimeScreening
from screening.settings import AgentSettings, ScreeningSettings
from screening.talk.briefing import Briefing
from tests.screening.scripted import ScriptedVendor

Story = Callable[[ScriptedVendor], None]


def allowed(vendor: ScriptedVendor) -> None:
    vendor.decides("ALLOW")


def allowed_in_a_sentence(vendor: ScriptedVendor) -> None:
    vendor.emits(ResponseBegan("r1"), SoundBegan("r1"))
    vendor.decides("ALLOW")


def allowed_and_slowly_referred(vendor: ScriptedVendor) -> None:
    vendor.takes_s["refer"] = 30.0
    vendor.decides("ALLOW")


def allowed_and_not_referred(vendor: ScriptedVendor) -> None:
    vendor.fails["refer"] = ProviderError("refer: OpenAI answered 500", 500)
    vendor.decides("ALLOW")


def rejected(vendor: ScriptedVendor) -> None:
    vendor.decides("REJECT")


def pressed(vendor: ScriptedVendor) -> None:
    vendor.emits(CallerPressed("5"))


def lost(vendor: ScriptedVendor) -> None:
    vendor.drops()


def silent(vendor: ScriptedVendor) -> None:
    """A session in which nobody says anything."""


STORIES = [
    allowed, allowed_in_a_sentence, allowed_and_slowly_referred, allowed_and_not_referred, rejected, pressed,
    lost, silent,
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def screened(agent: AgentSettings, story: Story, seconds: float) -> list[weakref.ref[object]]:
    """One screening, ended by its call after `seconds`; returns weak references to its parts."""
    vendor = ScriptedVendor()
    screening = RealtimeScreening(
        "c1", agent, ScreeningSettings(), vendor, "tel:+14155550123", lambda: None, briefing=Briefing()
    )
    attending = asyncio.create_task(screening.attend("rtc_1"))
    screening.tell(News.AGENT_ANSWERED)
    await asyncio.sleep(0.001)
    story(vendor)
    await asyncio.sleep(seconds)
    screening.over("the test has seen enough")
    await attending
    vendor.fails.clear()  # the raised error holds a traceback, and belongs to the test
    conversation = screening._conversation
    return [weakref.ref(each) for each in (screening, conversation, conversation._closing, attending)]


@pytest.mark.parametrize("transfer", ["local", "refer"])
@pytest.mark.parametrize("story", STORIES)
async def test_a_finished_screening_leaves_no_reference_cycles(transfer: str, story: Story) -> None:
    agent = AgentSettings("openai", transfer=transfer, refer_patience_s=3.0)
    for seconds in (0.0, 0.5, 2.0, 5.0):
        left = await screened(agent, story, seconds)
        await asyncio.sleep(1)
        assert [each() for each in left if each() is not None] == [], f"after {seconds} seconds"
