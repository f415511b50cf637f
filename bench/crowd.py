"""Plays many screened calls at once in the lab, in real time.

Run as ``python -m bench.crowd CALLS [SEED]``: prints as JSON how many ended as scripted, and what was left
over.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from proxy import log
from proxy.lab.crowd import Crowd, CrowdResult


async def played(calls: int, seed: int) -> CrowdResult:
    return await Crowd(calls, seed).play()


def main() -> None:
    log.configure("error")
    began = time.monotonic()
    ended = asyncio.run(played(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
    told = {"as_scripted": ended.as_scripted, "left_over": len(ended.left), "left": ended.left}
    print(json.dumps(told | {"problems": ended.problems[:10], "seconds": round(time.monotonic() - began, 1)}))


if __name__ == "__main__":
    main()
