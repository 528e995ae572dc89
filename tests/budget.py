"""Where the time of the tests goes: ``python -m tests.budget RESULTS.xml`` reads what ``pytest --junitxml`` wrote.

It prints the tests that took longest and the folders they lie in. What takes more than about a second, and of which a faster neighbour asks nearly the
same, goes into ``tests/extended.txt`` by name; a test that says something nobody else says stays, whatever it takes. A test that asks the same of many
cases has a line ``NAME one in K`` there: one case in K stays.
"""

from __future__ import annotations

import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree


def times(results: Path) -> dict[str, float]:
    """Return seconds by name of the test, as pytest takes it on the command line."""
    found = {}
    for case in ElementTree.parse(results).iter("testcase"):
        # A group of xdist is written behind the name.
        name = re.sub(r"@[^@\]]+$", "", case.attrib["name"])
        found[f"{case.attrib['classname'].replace('.', '/')}.py::{name}"] = float(case.attrib["time"])
    return found


def table(found: dict[str, float], *, longest: int = 60) -> str:
    """Return the folders by their seconds, and the tests that took longest."""
    folders: Counter[str] = Counter()
    for name, seconds in found.items():
        folders["/".join(name.split("::")[0].split("/")[:2])] += seconds
    rows = [f"{sum(found.values()):8.1f} s in {len(found)} tests", ""]
    rows += [f"{seconds:8.1f}  {folder}" for folder, seconds in folders.most_common()]
    rows += ["", *(f"{seconds:8.1f}  {name}" for name, seconds in sorted(found.items(), key=lambda one: -one[1])[:longest])]
    return "\n".join(rows)


def extended_names(lines: Iterable[str]) -> tuple[frozenset[str], dict[str, int]]:
    """Return the names of tests that are extended as a whole, and of how many cases of a test one stays."""
    one_in = dict(line.rsplit(" one in ", 1) for line in lines if " one in " in line)
    return frozenset(line for line in lines if " one in " not in line), {name: int(count) for name, count in one_in.items()}


def is_extended(name: str, seen: Counter[str], extended: frozenset[str], one_in: dict[str, int]) -> bool:
    """Return whether a test is extended for its time; ``seen`` counts the cases of each test, in the order in which they are collected."""
    test = name.split("[")[0]
    place = seen[test]
    seen[test] += 1
    # Where the counting begins differs by test: else the first entry of a catalogue would be asked everything, and the second nothing.
    return name in extended or (test in one_in and (place + zlib.crc32(test.encode())) % one_in[test] != 0)


if __name__ == "__main__":
    sys.stdout.write(table(times(Path(sys.argv[1]))) + "\n")
