"""Versions that stay say why, and what goes goes before what it descends from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from data_contracts import ModelRef, RetentionPolicy, Role
from medkd.lineage.judge_versions import judge_versions, reasons_to_keep
from medkd.registry.interface import VersionContents

NOW = 100 * 86400.0
NOTHING = RetentionPolicy(keep_days=0)


def version(name, number, *, teacher=None, days=50, **beside):
    role = Role.TEACHER if "teacher" in name else Role.STUDENT
    digest = f"{sum(map(ord, name)) * 100 + number:064x}"
    model = ModelRef(
        name=name, version=number, manifest_digest=digest, role=role, weights_digest="b" * 64,
        teacher=None if teacher is None else teacher.model.lineage,
    )  # fmt: skip
    return VersionContents(model=model, created_ms=int(1000 * (NOW - 86400 * days)), **{"tags": {}, **beside})


def reasons(contents, policy=NOTHING, **aliases):
    registry = SimpleNamespace(aliases=lambda name: aliases if name == "kd" else {})
    return {uri.removeprefix("models:/"): why for uri, why in reasons_to_keep(registry, contents, policy, NOW).items()}


@pytest.mark.parametrize(
    ("beside", "why"),
    [
        ({"tags": {"medkd.feedback.1": "x"}}, "a reader has judged it"),
        ({"attached": {"feedback/line.json": ""}}, "a reader has judged it"),
        ({"tags": {"medkd.report.1": "x"}}, "a report was made with it"),
        ({"attached": {"reports/1/report.html": ""}}, "a report was made with it"),
        ({"days": 3}, "younger than 5 days"),
    ],
)
def test_each_reason_keeps_a_version_that_is_not_the_newest(beside, why):
    policy = RetentionPolicy(keep_days=5)
    assert reasons([version("kd", 1, **beside), version("kd", 2)], policy) == {"kd/1": why, "kd/2": "the newest version"}
    assert set(reasons([version("kd", 1), version("kd", 2)], policy)) == {"kd/2"}


def test_an_alias_is_the_first_reason():
    found = reasons([version("kd", 1, tags={"medkd.feedback.1": "x"}), version("kd", 2)], champion=1, candidate=1)
    assert found["kd/1"] == "alias champion, candidate"


def test_reports_and_newest_versions_are_the_policys_to_say():
    contents = [version("kd", number, tags={"medkd.report.1": "x"} if number == 1 else {}) for number in (1, 2, 3)]
    found = reasons(contents, RetentionPolicy(keep_days=0, keep_reported=False, keep_newest=2))
    assert found == {"kd/2": "one of the newest versions", "kd/3": "one of the newest versions"}
    assert reasons(contents[:1], RetentionPolicy(keep_days=0, keep_reported=False)) == {"kd/1": "the only version"}


def test_teachers_of_what_stays_stay():
    teachers = [version("teacher", number) for number in (1, 2)]
    assert reasons([*teachers, version("kd", 1, teacher=teachers[0])])["teacher/1"] == "kd/1 descends from it"
    assert "teacher/1" not in reasons([*teachers, version("kd", 1, teacher=teachers[1])])


def test_the_newest_goes_first_and_each_removal_is_of_its_own_version():
    removed = []
    housekeeping = SimpleNamespace(size_of=lambda model: 10 * model.version, remove_version=removed.append)
    contents = [version("kd", 1, days=50), version("kd", 2, days=30), version("kd", 3, days=10)]
    found = list(judge_versions(contents, {"models:/kd/3": "alias champion"}, housekeeping, NOW))
    assert [(one.name, one.stays, one.bytes) for one in found] == [("kd/3", True, 30), ("kd/2", False, 20), ("kd/1", False, 10)]
    assert [one.why for one in found] == ["alias champion", *(f"nothing needs it, registered {days} days ago" for days in (30, 50))]
    assert removed == []
    for one in found[1:]:
        one.remove()
    assert [model.version for model in removed] == [2, 1]
