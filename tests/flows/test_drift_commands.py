"""`medkd drift reference` and `medkd drift check`: text, JSON, and what they refuse."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.drift.drift_site import drift_site

pytestmark = pytest.mark.xdist_group("drift")


@pytest.fixture(scope="module")
def one():
    return drift_site()


@pytest.mark.extended
def test_a_reference_is_made_and_a_window_is_compared(one, here, tmp_path):
    shutil.copytree(one.site.root, tmp_path / "site")
    status, out, errors = here("drift", "reference", one.uri, "--store", one.store, "--run", one.run, "--json")
    assert status == 0, errors
    made = json.loads(out.splitlines()[-1])
    assert (made["model"], made["studies"]) == (one.uri, 3)
    asked = ("drift", "check", one.uri, "--site", tmp_path / "site", "--run", one.run, "--alarm-rate", 0.5, "--window", 3)
    status, out, errors = here(*asked, "--json")
    assert status == 0, errors
    found = json.loads(out.splitlines()[-1])
    assert (found["new_windows"], found["report"]["reference_digest"]) == (1, made["digest"])
    assert found["said"].startswith("window 1 (3 studies of ")
    status, out, _ = here(*asked)
    assert status == 0
    assert out.startswith("too few studies: 0 of 3")
    assert (tmp_path / "site" / "drift" / "tiny-teacher-1" / "drift.png").is_file()


@pytest.mark.extended
def test_a_reference_too_small_for_the_rate_is_refused(one, here):
    status, _, errors = here("drift", "check", one.uri, "--site", one.site.root, "--run", one.run, "--window", 3)
    assert (status, errors.strip().splitlines()[-1].split(":")[0]) == (2, "DRIFT_REFERENCE_SMALL")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (("--site", "nowhere"), "SITE_MISSING"), (("--alarm-rate", 0), "DRIFT_SETTINGS"), (("--window", 1), "DRIFT_SETTINGS"),
        (("--alarm-rate", 0.001), "DRIFT_SETTINGS"), (("--alarm-rate", "often"), "Usage"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_one_sentence(here, tmp_path, more, code):
    status, _, errors = here("drift", "check", "models:/m/1", "--site", tmp_path, "--run", tmp_path, *more)
    assert status == 2
    assert any(line.startswith(code) for line in errors.splitlines()), errors


@pytest.mark.extended
def test_a_store_that_is_none_is_refused(one, here, tmp_path):
    status, _, errors = here("drift", "reference", one.uri, "--store", tmp_path, "--run", one.run)
    assert (status, errors.strip().splitlines()[-1].split(":")[0]) == (2, "CONTRACT_MISSING")
