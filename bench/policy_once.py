"""Prints the CPU microseconds that a policy takes per call, and the MiB of memory that it uses.

The policy has 100,000 contacts from a file, 10,000 patterns (a quarter each: numbers, prefixes, ranges,
wildcards), and 1,000 name patterns. Several kinds of callers are measured; the most expensive counts.
"""

import gc
import random
import time
from datetime import UTC, datetime
from statistics import median
from zoneinfo import ZoneInfo

from bench.accounting import pss_kib
from screening.callers.contacts import read
from screening.callers.number_list import NumberList
from screening.callers.timetable import Timetable, parse_window
from screening.callers.wildcards import Wildcards
from screening.contract import Caller
from screening.decision import Action
from screening.policy import Policy

CONTACTS, PATTERNS, NAMES, CALLERS, SAMPLES = 100_000, 10_000, 1_000, 2_000, 5
AT = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)


def patterns(chance: random.Random) -> list[str]:
    """Patterns that match no contact."""
    found = []
    for n in range(PATTERNS // 4):
        number = f"+1312{chance.randrange(10**7):07d}"
        low = 13125000000 + 100 * n
        found += [number, f"{number[:9]}*", f"+{low}..+{low + 9}", f"*{number[6:9]}?{number[10:]}"]
    return found


def policy(chance: random.Random) -> Policy:
    rows = "".join(f"Person {n},+1415{n + 2_000_000:07d}\n" for n in range(CONTACTS))
    came = read(f"name,number\n{rows}".encode(), "US")
    assert came.rows == CONTACTS
    return Policy(
        country="US",
        home=frozenset({"US"}),
        contacts=[came.contacts],
        block=[NumberList(patterns(chance), "US")],
        block_names=[Wildcards(f"*agency {n}*" for n in range(NAMES))],
        international=Action.VOICEMAIL,
        times=Timetable(ZoneInfo("America/New_York"), quiet=(parse_window("22:00-07:00"),)),
    )


def callers(chance: random.Random) -> dict[str, list[Caller]]:
    """Distinct callers, by kind."""

    def who(number: str | None, name: str | None = "A Caller of No List, Inc.") -> Caller:
        return Caller("c", number, name, "+14155551234", "openai", AT, privacy=number is None)

    few = range(CALLERS)
    return {
        "contact": [who(f"+1415{chance.randrange(2_000_000, 2_100_000):07d}") for _ in few],
        "unknown": [who(f"+1650{chance.randrange(2_000_000, 10**7):07d}") for _ in few],
        "near a pattern": [who(f"+1312{chance.randrange(10**7):07d}") for _ in few],
        "from abroad": [who(f"+4930{chance.randrange(10**7):07d}") for _ in few],
        "withheld": [who(None) for _ in few],
    }


def main() -> None:
    chance = random.Random(1)
    gc.collect()
    with open("/proc/self/smaps_rollup") as file:
        before = pss_kib(file.read())
    judged = policy(chance)
    gc.collect()
    with open("/proc/self/smaps_rollup") as file:
        after = pss_kib(file.read())
    worst = 0.0
    for kind in callers(chance).values():
        samples = []  # each caller once, so that nothing is cached
        for some in (kind[n::SAMPLES] for n in range(SAMPLES)):
            start = time.process_time()
            for caller in some:
                judged.decide(caller)
            samples.append((time.process_time() - start) / len(some) * 1e6)
        worst = max(worst, median(samples))
    print(worst, (after - before) / 1024)


main()
