from __future__ import annotations

import asyncio

import pytest

from screening.contract import Connect, Undecided
from screening.talk.judgement import Judgement, Stage


async def test_a_verdict_is_latched_until_it_is_taken() -> None:
    judgement = Judgement()
    judgement.begin()
    judgement.give(Connect("friend"))
    assert await judgement.verdict() == Connect("friend")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(judgement.verdict(), 1)


async def test_losing_the_session_is_undecided_only_while_a_decision_is_awaited() -> None:
    judgement = Judgement()
    judgement.begin()
    judgement.settle()
    judgement.lose("lost")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(judgement.verdict(), 1)
    assert not judgement.reopen()
    assert await judgement.verdict() == Undecided("lost")


async def test_the_first_reason_for_a_loss_is_the_one_that_counts() -> None:
    judgement = Judgement()
    judgement.lose("first")
    judgement.lose("second")
    assert judgement.lost == "first"


def test_begin_does_not_undo_a_decision() -> None:
    judgement = Judgement()
    judgement.refer_seen()
    judgement.begin()
    assert judgement.stage is Stage.DECIDED
