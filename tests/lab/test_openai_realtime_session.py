"""The simulated Realtime session, in virtual time: its events, their order and their timing."""

from __future__ import annotations

import asyncio
import itertools
import json

import pytest

from proxy.lab.openai_conversation import GOODBYES, Conversation
from proxy.lab.openai_events import as_object
from tests.kit.virtual_loop import run_virtual
from tests.lab.openai_kit import ACCEPT, TalkNotes, sentences, tool_call

SCRIPT = Conversation()
CREATE = '{"type": "response.create"}'
CANCEL = '{"type": "response.cancel"}'
STOPPED = "output_audio_buffer.stopped"
SPOKEN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "output_audio_buffer.started",
    "response.output_audio_transcript.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
    "output_audio_buffer.stopped",
]
"""Event types of a spoken response, consecutive duplicates collapsed."""


def say(talk: TalkNotes, **message: object) -> None:
    talk.talk.hear(json.dumps(message))


def give_tool_output(talk: TalkNotes, call_id: object) -> None:
    output = {"type": "function_call_output", "call_id": call_id, "output": "{}"}
    say(talk, type="conversation.item.create", item=output)
    say(talk, type="response.create")


def error_codes(talk: TalkNotes) -> list[object]:
    return [as_object(event["error"])["code"] for event in talk.sent if event["type"] == "error"]


async def decided(talk: TalkNotes) -> object:
    """Run the conversation until the response with the decision is done; return the tool call's ID."""
    call = await talk.until(tool_call)
    await talk.until(lambda event: event["type"] == "response.done" and tool_in(event))
    return as_object(call["item"])["call_id"]


def tool_in(event: object) -> bool:
    output = as_object(as_object(event)["response"])["output"]
    return isinstance(output, list) and any(item["type"] == "function_call" for item in output)


def test_a_conversation_has_its_events_in_api_order_and_lasts_two_to_three_seconds() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        began = asyncio.get_running_loop().time()
        say(talk, type="response.create")
        give_tool_output(talk, await decided(talk))
        await talk.until(STOPPED, times=2)
        assert 2.0 < asyncio.get_running_loop().time() - began < 3.0
        assert [kind for kind, _ in itertools.groupby(talk.types)] == [
            *SPOKEN,
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
            "rate_limits.updated",
            "conversation.item.added",
            "conversation.item.done",
            *SPOKEN,
        ]
        assert sentences(talk.sent) == [SCRIPT.greeting, GOODBYES["ALLOW"]]
        assert talk.speech == [True, False, True, False]
        await talk.tasks.close()

    run_virtual(story())


def test_a_system_message_after_the_decision_brings_an_apology_and_a_second_decision() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="response.create")
        give_tool_output(talk, await decided(talk))
        await talk.until(STOPPED, times=2)
        content = [{"type": "input_text", "text": "The phone is busy."}]
        message = {"type": "message", "role": "system", "content": content}
        say(talk, type="conversation.item.create", item=message)
        say(talk, type="response.create")
        call = await talk.until(tool_call, times=2)
        arguments = str(as_object(call["item"])["arguments"])
        assert json.loads(arguments)["decision"] == "VOICEMAIL"
        await talk.until(STOPPED, times=3)
        give_tool_output(talk, as_object(call["item"])["call_id"])
        await talk.until(STOPPED, times=4)
        assert sentences(talk.sent)[2:] == [SCRIPT.apology, GOODBYES["VOICEMAIL"]]
        await talk.tasks.close()

    run_virtual(story())


def test_a_goodbye_requested_during_the_apology_is_spoken_after_it() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="response.create")
        give_tool_output(talk, await decided(talk))
        await talk.until(STOPPED, times=2)
        say(talk, type="conversation.item.create", item={"type": "message", "role": "system"})
        say(talk, type="response.create")
        call = await talk.until(tool_call, times=2)
        await talk.until("response.done", times=4)
        assert talk.talk.speaking
        give_tool_output(talk, as_object(call["item"])["call_id"])
        await talk.until(STOPPED, times=4)
        buffer = [kind for kind in talk.types if kind.startswith("output_audio_buffer")]
        assert buffer == ["output_audio_buffer.started", STOPPED] * 4
        await talk.tasks.close()

    run_virtual(story())


def test_without_transcription_configured_there_are_no_transcription_events() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT, {**ACCEPT, "audio": {}})
        say(talk, type="response.create")
        await decided(talk)
        assert not any("transcription" in kind for kind in talk.types)
        await talk.tasks.close()

    run_virtual(story())


@pytest.mark.parametrize("detection", [None, {"type": "server_vad", "create_response": False}])
def test_without_automatic_responses_the_model_waits_for_response_create(detection: object) -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT, {**ACCEPT, "audio": {"input": {"turn_detection": detection}}})
        say(talk, type="response.create")
        await talk.until(STOPPED)
        await asyncio.sleep(60)
        assert talk.types.count("response.created") == 1
        assert ("input_audio_buffer.committed" in talk.types) == (detection is not None)
        say(talk, type="response.create")
        await decided(talk)
        await talk.tasks.close()

    run_virtual(story())


def test_a_model_that_never_decides_continues_the_conversation() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT, no_decision=True)
        say(talk, type="response.create")
        await asyncio.sleep(90)
        assert talk.types.count("input_audio_buffer.committed") > 20
        assert not any(tool_call(event) for event in talk.sent)
        talk.talk.close()
        await talk.tasks.close()

    run_virtual(story())


def test_response_create_during_an_active_response_gets_an_error_event() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="response.create")
        say(talk, type="response.create", event_id="mine")
        assert error_codes(talk) == ["conversation_already_has_active_response"]
        assert as_object(talk.sent[-1]["error"])["event_id"] == "mine"
        await talk.tasks.close()

    run_virtual(story())


def test_a_cancelled_response_ends_with_status_cancelled_and_its_audio_is_cleared() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="response.create")
        await talk.until("output_audio_buffer.started")
        say(talk, type="response.cancel")
        say(talk, type="output_audio_buffer.clear")
        await talk.until("output_audio_buffer.cleared")
        done = as_object((await talk.until("response.done"))["response"])
        assert (done["status"], as_object(done["status_details"])["reason"]) == (
            "cancelled",
            "client_cancelled",
        )
        assert talk.speech == [True, False]
        await asyncio.sleep(60)
        assert talk.types.count("response.created") == 1
        await talk.tasks.close()

    run_virtual(story())


def test_audio_of_a_cancelled_response_plays_to_its_end_if_not_cleared() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="response.create")
        await talk.until("output_audio_buffer.started")
        say(talk, type="response.cancel")
        await talk.until(STOPPED)
        await talk.tasks.close()

    run_virtual(story())


def test_a_response_cancelled_before_its_audio_starts_is_never_played() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="response.create")
        say(talk, type="response.cancel")
        await asyncio.sleep(60)
        assert talk.types == ["response.created", "response.done", "rate_limits.updated"]
        await talk.tasks.close()

    run_virtual(story())


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (CANCEL, "response_cancel_not_active"),
        ("not json", "invalid_event"),
        ("[]", "invalid_event"),
        ('{"type": "brand.new.event"}', "invalid_event"),
        ('{"type": "conversation.item.create", "item": {"type": "reasoning"}}', "invalid_event"),
        (
            '{"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "x"}}',
            "invalid_tool_call_id",
        ),
        ('{"type": "session.update", "session": {"instructions": "hi"}}', "missing_required_parameter"),
    ],
)
def test_an_invalid_client_event_gets_an_error_event_with_its_code(frame: str, code: str) -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        talk.talk.hear(frame)
        assert error_codes(talk) == [code]

    run_virtual(story())


def test_a_session_update_is_answered_with_the_complete_session() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="session.update", session={"type": "realtime", "instructions": "new"})
        session = as_object(talk.sent[0]["session"])
        assert (session["instructions"], session["model"]) == ("new", "gpt-realtime-2.1")

    run_virtual(story())


def test_the_voice_cannot_be_changed_after_the_agent_has_spoken() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        session = {"type": "realtime", "audio": {"output": {"voice": "cedar"}}}
        say(talk, type="session.update", session=session)
        say(talk, type="response.create")
        await talk.until("output_audio_buffer.started")
        session["audio"] = {"output": {"voice": "ash"}}
        say(talk, type="session.update", session=session)
        assert error_codes(talk) == ["cannot_update_voice"]
        await talk.tasks.close()

    run_virtual(story())


def test_an_out_of_band_response_is_text_and_does_not_advance_the_conversation() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        aside = {"conversation": "none", "metadata": {"purpose": "summary"}}
        say(talk, type="response.create", response=aside)
        say(talk, type="response.create")
        done = as_object((await talk.until("response.done"))["response"])
        assert (done["conversation_id"], done["metadata"]) == (None, {"purpose": "summary"})
        assert (await talk.until("response.output_text.done"))["text"] == SCRIPT.caller_lines[0]
        await talk.until(STOPPED)
        assert sentences(talk.sent) == [SCRIPT.greeting]
        await talk.tasks.close()

    run_virtual(story())


def test_closing_the_session_stops_the_audio_at_once_and_leaves_no_task() -> None:
    async def story() -> None:
        talk = TalkNotes(SCRIPT)
        say(talk, type="response.create")
        await talk.until("output_audio_buffer.started")
        talk.talk.close()
        talk.talk.close()
        assert talk.speech == [True, False]
        await talk.tasks.close()
        assert len(talk.tasks) == 0

    run_virtual(story())
