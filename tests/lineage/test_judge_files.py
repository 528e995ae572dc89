"""Files of a run: what records refer to stays, and nothing is removed before it is asked to."""

from __future__ import annotations

import hashlib
import json
import os

import pytest

from data_contracts import ModelRef, RetentionPolicy, Role
from medkd.lineage.judge_files import FileRules, judge_files, referred_keys
from medkd.registry.interface import VersionContents

NOW = 100 * 86400.0
MODEL = ModelRef(name="r-kd", version=1, manifest_digest="a" * 64, role=Role.STUDENT, weights_digest="b" * 64)
KEPT = (VersionContents(model=MODEL, tags={"medkd.seed": "0", "medkd.split_digest": "c" * 64}),)


def write(path, text, *, days=90):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - days * 86400,) * 2)
    return path


def reference(key):
    return {"store": "run", "key": key, "sha256": "0" * 64}


def result(run, name, value):
    text = json.dumps(value)
    write(run / "stages" / f"{name}.json", text)
    write(run / "stages" / f"{name}.sha256", hashlib.sha256(text.encode()).hexdigest())


def judged(run, **policy):
    return {one.name: one for one in judge_files(run, FileRules(RetentionPolicy(**policy), KEPT, NOW))}


def test_records_are_followed_through_the_store_and_round_circles(tmp_path):
    first = write(tmp_path / "first.json", json.dumps({"uses": [reference("second.json"), {**reference("elsewhere"), "store": "clinic"}]}))
    write(tmp_path / "second.json", json.dumps({"image": reference("image"), "back": reference("second.json")}))
    broken = write(tmp_path / "broken.json", "{")
    assert referred_keys(tmp_path, [first, broken, tmp_path / "missing.json"]) == {"second.json", "image"}


def test_what_no_record_refers_to_goes_with_the_folders_that_are_empty_then(tmp_path):
    write(tmp_path / "store" / "kept", "x")
    write(tmp_path / "store" / "nobodys" / "file", "x")
    result(tmp_path, "one", {"file": reference("kept")})
    found = judged(tmp_path)
    assert (found["kept"].why, found["nobodys/file"].why) == ("a record refers to it", "no record refers to it")
    assert found["nobodys/file"].bytes == 1
    assert (tmp_path / "store" / "nobodys" / "file").exists()
    found["nobodys/file"].remove()
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["kept"]


@pytest.mark.parametrize(("days", "stays"), [(29, True), (31, False)])
def test_the_policy_says_how_old_a_stored_file_may_be(tmp_path, days, stays):
    write(tmp_path / "store" / "file", "x", days=days)
    assert judged(tmp_path, keep_days=30)["file"].stays is stays


def test_a_result_that_cannot_be_used_again_goes_with_its_digest(tmp_path):
    result(tmp_path, "lost", {"file": reference("gone")})
    result(tmp_path, "altered", {})
    write(tmp_path / "stages" / "altered.json", '{"a": 1}')
    write(tmp_path / "stages" / "alone.sha256", "0" * 64)
    found = judged(tmp_path)
    assert {name: one.why for name, one in found.items()} == {
        "lost.json": "cannot be used again: gone is missing",
        "altered.json": "cannot be used again: its digest does not fit",
        "alone.sha256": "a digest of nothing",
    }
    for one in found.values():
        one.remove()
    assert list((tmp_path / "stages").iterdir()) == []


def test_an_old_result_that_a_kept_version_is_made_of_stays(tmp_path):
    result(tmp_path, "of-it", {"split": MODEL.weights_digest})
    result(tmp_path, "of-nobody", {"split": "d" * 64})
    found = judged(tmp_path, stage_days=60)
    assert (found["of-it.json"].why, found["of-it.json"].stays) == ("a kept version is made of it", True)
    assert not found["of-nobody.json"].stays
    assert judged(tmp_path)["of-nobody.json"].why == "can be used again"


def test_bundles_of_kept_versions_stay(tmp_path):
    for name in ("r-kd-1.zip", "r-kd-2.zip"):
        write(tmp_path / "bundles" / name, "x")
    assert {name: one.stays for name, one in judged(tmp_path).items()} == {"bundles/r-kd-1.zip": True, "bundles/r-kd-2.zip": False}


def test_digests_of_a_kept_version_are_those_of_its_tags_too():
    assert FileRules(RetentionPolicy(), KEPT, NOW).digests == {"a" * 64, "b" * 64, "c" * 64}


def test_half_written_files_of_this_day_may_still_be_written(tmp_path):
    write(tmp_path / "store" / ".old.1.medkd-partial", "x", days=2)
    write(tmp_path / "store" / ".new.1.medkd-partial", "x", days=0.5)
    assert list(judged(tmp_path)) == ["store/.old.1.medkd-partial"]
