"""Measures the silence at the caller when the phone takes over, in whole calls of the lab in real time.

Run as ``python -m bench.switch CALLS``: prints as JSON, for each call, the longest gap in milliseconds at the
switch, and that of the time before, while only the agent spoke.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace

from proxy import log
from proxy.lab.report import judge
from proxy.lab.scenes import PLAIN
from proxy.lab.stage import Stage


async def gaps_ms() -> tuple[float, float]:
    """Play one screened call that is put through, in `relay`; AssertionError if it went wrong."""
    scene = PLAIN["allow"]
    scene = replace(scene, scenery=replace(scene.scenery, media_mode="relay"))
    async with Stage(scene.scenery) as stage:
        await scene.play(stage)
        report = await judge(scene, stage, 0.0, None)
    assert report.good, "; ".join(report.problems)
    assert report.gap_ms is not None
    assert report.usual_gap_ms is not None
    return report.gap_ms, report.usual_gap_ms


def main() -> None:
    log.configure("error")
    print(json.dumps([asyncio.run(gaps_ms()) for _ in range(int(sys.argv[1]))]))


if __name__ == "__main__":
    main()
