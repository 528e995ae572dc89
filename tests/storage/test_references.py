from __future__ import annotations

import json
from dataclasses import dataclass

from data_contracts import Ref, ReportSet
from medkd.storage.references import references, references_in_json

REFS = tuple(Ref(store="run", key=f"{name}.json", sha256=name * 64) for name in "abc")
SET = ReportSet(reports=REFS[:1], pages=(), pictures=(), explanations=REFS[1:2])


@dataclass(frozen=True)
class Grown:
    reports: ReportSet
    name: str
    kind: type


def test_references_are_found_however_deep():
    assert list(references(Grown(SET, "x", Ref))) == list(REFS[:2])
    assert list(references({"x": [SET, (REFS[2], 3)]})) == list(REFS)


def test_references_in_a_stored_record_are_those_of_the_record():
    assert set(references_in_json(json.loads(SET.canonical_json()))) == set(references(SET))
    assert not list(references_in_json({"store": "run", "key": "x"}))
