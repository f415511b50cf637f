"""`screendoor demo`: plays a whole screened call on this machine, shows it live, and checks the result."""

from __future__ import annotations

import asyncio
import signal
import time

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from proxy import log
from proxy.call.record import CallRecord
from proxy.lab.ladder import HEADING, Ladder
from proxy.lab.report import Report, judge
from proxy.lab.scenes import FAULTS, PLAIN, Scene, by
from proxy.lab.scripts import answers
from proxy.lab.stage import HERE, Provider, Stage
from proxy.observe.ladder import LEGEND

AT_ONCE = 3
"""How many scenes of `--fault all` play at a time; each takes a few seconds, most of them waiting."""

TITLES = ("fault", "what happens", "the caller is", "rung by", "gap", "seconds", "")

TABLE_WIDTH = 136
"""Width of the table; a narrower terminal wraps it instead of dropping words."""

console = Console(highlight=False, soft_wrap=True)


def main(serve: bool, decision: str, fault: str | None, provider: Provider = "realtime") -> int:
    """Play what the command line asks for; returns 0 if every scene ended as it must."""
    log.configure("error")
    if serve:
        return asyncio.run(_serve(by(PLAIN[decision], provider)))
    if fault == "all":
        return asyncio.run(_all([by(scene, provider) for scene in FAULTS.values()]))
    if fault is not None and fault not in FAULTS:
        console.print(f"screendoor: no fault is called {fault}; there are: all, {', '.join(FAULTS)}")
        return 2
    return asyncio.run(_one(by(FAULTS[fault] if fault else PLAIN[decision], provider)))


async def _one(scene: Scene) -> int:
    console.print(f"Screendoor demo: {scene.about}\n\n{HEADING}\n{LEGEND}")
    ladder = Ladder(_say)
    report, left = await _played(scene, ladder)
    if report.record is not None:
        _tell(report.record)
    _close(report, left)
    return 0 if report.good and not left else 1


async def _played(scene: Scene, ladder: Ladder | None = None) -> tuple[Report, list[str]]:
    """Play one scene on its own stage; returns the report and the tasks left after tear-down."""
    before = asyncio.all_tasks()
    stage = Stage(scene.scenery)
    if ladder is not None:
        stage.traces.append(ladder)
    async with stage:
        if ladder is not None:
            ladder.agent_port = stage.openai.address[1]
        began = time.monotonic()
        failure: Exception | None = None
        try:
            await scene.play(stage)
        except Exception as error:  # reported as a problem, whatever it is
            failure = error
        report = await judge(scene, stage, time.monotonic() - began, failure)
    mine = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() - before if task is not mine and not task.done()]
    return report, [f"task {task.get_name()}" for task in tasks]


async def _all(scenes: list[Scene]) -> int:
    """Play every fault, a few at a time, and print a table.

    A scene whose only problem is unexpected silence is played once more, alone: a busy machine may cause it
    when several play at a time. Any other problem counts at once.
    """
    places = asyncio.Semaphore(AT_ONCE)

    async def play(scene: Scene) -> Report:
        async with places:
            report, _ = await _played(scene)
        _mark(report)
        return report

    before = asyncio.all_tasks()
    reports = await asyncio.gather(*(play(scene) for scene in scenes))
    for n, report in enumerate(reports):
        if report.only_late:
            reports[n] = await play(report.scene)
    left = [task.get_name() for task in asyncio.all_tasks() - before if not task.done()]
    Console(highlight=False, width=max(console.width, TABLE_WIDTH)).print(_table(reports))
    good = sum(report.good for report in reports)
    console.print(
        f"{good} of {len(reports)} faults ended as they must; tasks left: {', '.join(left) or 'none'}"
    )
    return 0 if good == len(reports) and not left else 1


def _mark(report: Report) -> None:
    mark = "ok  " if report.good else "FAIL"
    console.print(f"{mark} {report.scene.name:<28} {report.seconds:5.1f} s  {'; '.join(report.problems)}")


async def _serve(scene: Scene) -> int:
    """Keep the scene running for a softphone, until interrupted."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stage = Stage(scene.scenery)
    ladder = Ladder(_say)
    stage.traces.append(ladder)
    stage.records.append(_tell)
    async with stage:
        ladder.agent_port = stage.openai.address[1]
        port = stage.app.advertised.ports["udp"]
        decision = scene.scenery.conversation.decision
        console.print(
            f"The edge is up. Call sip:+14155551234@{HERE}:{port} (UDP) from a softphone on this machine;\n"
            f"the simulated agent decides {decision}, the simulated phone answers.\n"
            f"Health and metrics: http://{HERE}:{stage.app.http_port}/healthz, /metrics. Ctrl-C ends it.\n\n"
            f"{HEADING}\n{LEGEND}"
        )
        phone = asyncio.ensure_future(_answering(stage))
        await stop.wait()
        phone.cancel()
        await asyncio.gather(phone, return_exceptions=True)
    return 0


async def _answering(stage: Stage) -> None:
    while True:
        await answers(stage)


def _say(line: str) -> None:
    console.print(line, markup=False)


def _tell(record: CallRecord) -> None:
    """Print transcript, decision and outcome."""
    if record.transcript:
        console.print("\nTranscript")
    for said in record.transcript:
        console.print(f"  {said.at_s:5.1f} s  {said.speaker:<7} {said.text}", markup=False)
    reason = f": {record.why}" if record.why else ""
    console.print(f"\nDecision   {record.decision or 'none'}{reason}", markup=False)
    if record.outcome is not None:
        console.print(f"Outcome    {record.outcome.result.value}: {record.outcome.reason}", markup=False)
    if record.message is not None:
        console.print(f"Message    {record.message.text}", markup=False)
    if record.voicemail_s is not None:
        console.print(f"Voicemail  {record.voicemail_s:.1f} s recorded")


def _close(report: Report, left: list[str]) -> None:
    """Print the closing line, and each problem on its own line."""
    gap = "none" if report.gap_ms is None else f"{report.gap_ms:.0f} ms"
    rest = ", ".join(left) or "nothing"
    console.print(
        f"\nbridged: {_yes(report.bridged)} · tone caller→phone: {_yes(report.to_phone)} · "
        f"tone phone→caller: {_yes(report.to_caller)} · longest gap at the switch: {gap} · left over: {rest}"
    )
    for problem in report.problems:
        console.print(f"problem: {problem}", markup=False)


def _table(reports: list[Report]) -> Table:
    table = Table(*(Column(title, no_wrap=True) for title in TITLES), box=SIMPLE)
    for report in reports:
        outcome = report.record.outcome if report.record else None
        table.add_row(
            report.scene.name,
            report.scene.about,
            outcome.result.value if outcome else "?",
            (report.record.trigger if report.record else None) or "nobody",
            "" if report.gap_ms is None else f"{report.gap_ms:.0f} ms",
            f"{report.seconds:.1f}",
            "ok" if report.good else "FAIL",
        )
    return table


def _yes(fact: bool) -> str:
    return "yes" if fact else "no"
