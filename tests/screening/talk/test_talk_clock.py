from __future__ import annotations

from screening.settings import ScreeningSettings
from screening.talk.talk_clock import Due, TalkClock

LIMITS = ScreeningSettings(talk_limit_s=90, silence_limit_s=20)


def started(at: float = 100.0) -> TalkClock:
    clock = TalkClock(LIMITS)
    clock.start(at)
    return clock


def test_nothing_runs_before_the_start() -> None:
    assert TalkClock(LIMITS).give_up[0] is None


def test_silence_counts_from_the_start() -> None:
    assert started().give_up == (120.0, "nobody spoke for 20 s")


def test_only_the_first_start_counts() -> None:
    clock = started()
    clock.start(150.0)
    assert clock.give_up[0] == 120.0


def test_silence_does_not_run_while_somebody_speaks() -> None:
    clock = started()
    clock.sound(110.0, going_on=True)
    assert clock.give_up == (190.0, "no decision within 90 s")
    clock.sound(130.0, going_on=False)
    assert clock.give_up == (150.0, "nobody spoke for 20 s")
    clock.sound(180.0, going_on=False)
    assert clock.give_up == (190.0, "no decision within 90 s")


def test_the_talk_is_extended_once_for_a_phone_that_did_not_answer() -> None:
    clock = started()
    clock.resume(185.0)
    clock.sound(185.0, going_on=True)
    assert clock.give_up[0] == 215.0
    clock.resume(214.0)
    assert clock.give_up[0] == 215.0


def test_the_extension_takes_nothing_away() -> None:
    clock = started()
    clock.resume(110.0)
    clock.sound(110.0, going_on=True)
    assert clock.give_up[0] == 190.0


def test_due_actions_come_in_order_and_once() -> None:
    clock = TalkClock(ScreeningSettings(talk_limit_s=90, silence_limit_s=20, ask_if_there_s=8))
    assert clock.next_due == (None, Due.GIVE_UP)
    clock.start(0)
    assert clock.next_due == (8, Due.ASK_IF_THERE)
    clock.acted_on(Due.ASK_IF_THERE)
    assert clock.next_due == (20, Due.GIVE_UP)
    clock.sound(9, going_on=True)
    assert clock.next_due == (80, Due.DECIDE_NOW)
    clock.acted_on(Due.DECIDE_NOW)
    assert clock.next_due == (90, Due.GIVE_UP)
    clock.sound(11, going_on=False)
    assert clock.next_due == (22, Due.GIVE_UP)  # nine seconds before the question, eleven after it
    clock.sound(15, going_on=False, caller=True)
    assert clock.next_due == (23, Due.ASK_IF_THERE)
    clock.resume(85)
    assert clock.next_due == (93, Due.ASK_IF_THERE)
    clock.acted_on(Due.ASK_IF_THERE)
    assert clock.next_due == (105, Due.GIVE_UP)
