"""Choice of the speech provider from the settings, and rendering of prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import parse
from proxy.lab.openai_api import OpenAiLab
from proxy.media.disk_writer import DiskThread
from proxy.media.openai_speech import clear_cache
from proxy.media.speech import LEAVE_MESSAGE, MAX_CACHED, RECORDED, SpeechFailed
from proxy.voices import Voices

pytestmark = pytest.mark.network

TEXT = """
public = { host = "sbc.example.com", address = "192.0.2.1" }
listen = [ { transport = "udp", bind = "127.0.0.1:5060" } ]
trunk = [ { name = "one", outbound = "sip:one.example" } ]
agent = [ { name = "a", provider = "sip", sip = "sip:a@192.0.2.9", srtp = "off", AGENT } ]
number = [ { dialed = "*", destinations = ["tel:+14155559876"] } ]
screening = { record = "on" }
speech = { cache = "FOLDER/speech", SPEECH }
"""


def voices(folder: Path, disk: DiskThread, speech: str, agent: str = "silence_limit_s = 20") -> Voices:
    text = TEXT.replace("FOLDER", str(folder)).replace("AGENT", agent).replace("SPEECH", speech)
    return Voices(parse(text, {"KEY": "sk-lab"}, file="t.toml", folder=folder), disk)


async def test_speech_uses_the_key_of_the_first_agent_and_caches_caller_prompts(tmp_path: Path) -> None:
    disk = DiskThread()
    async with OpenAiLab("sk-lab", "whsec_", "") as lab:
        agent = f'api_key = "env:KEY", api_base = "{lab.base_url}"'
        for _ in range(2):
            speaking = voices(tmp_path, disk, 'voice = "coral"', agent)
            await speaking.prepare()
            await speaking.speak(RECORDED, "en")
            await speaking.close()
            assert disk.close()
        assert lab.spoken == sorted([LEAVE_MESSAGE, RECORDED])


async def test_caller_prompts_are_not_evicted_by_whispers_to_phones(tmp_path: Path) -> None:
    async with OpenAiLab("sk-lab", "whsec_", "") as lab:
        speaking = voices(tmp_path, DiskThread(), f'api_key = "env:KEY", api_base = "{lab.base_url}"')
        await speaking.prepare()
        for n in range(MAX_CACHED + 1):
            await speaking.speak(f"Call from {n}", "en")
        clear_cache(tmp_path / "speech")
        await speaking.speak(LEAVE_MESSAGE, "en")
        await speaking.close()
        assert lab.spoken.count(LEAVE_MESSAGE) == 1


async def test_speech_may_use_its_own_api_key(tmp_path: Path) -> None:
    async with OpenAiLab("sk-lab", "whsec_", "") as lab:
        speaking = voices(tmp_path, DiskThread(), f'api_key = "env:KEY", api_base = "{lab.base_url}"')
        await speaking.speak("Hello", "en")
        await speaking.close()
        assert lab.spoken == ["Hello"]


async def test_without_a_key_espeak_speaks_and_provider_prompts_only_plays_recordings(
    tmp_path: Path,
) -> None:
    espeak = voices(tmp_path, DiskThread(), 'language = "en"')
    assert (await espeak.speak("Hello, Grace", "en")).seconds > 0.3
    await espeak.close()
    prompts = voices(tmp_path, DiskThread(), 'provider = "prompts"')
    assert (await prompts.speak(RECORDED, "en")).seconds > 1
    with pytest.raises(SpeechFailed):
        await prompts.speak("Hello, Grace", "en")


async def test_if_openai_fails_espeak_speaks(tmp_path: Path) -> None:
    base = 'api_key = "env:KEY", api_base = "http://127.0.0.1:9/v1"'
    speaking = voices(tmp_path, DiskThread(), base)
    assert (await speaking.speak("Hello, Grace", "en")).seconds > 0.3
    await speaking.close()
