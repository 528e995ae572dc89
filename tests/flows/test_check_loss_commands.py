"""`medkd check-loss`: text, JSON, exit status 0, 1 and 2."""

from __future__ import annotations

import json

import pytest

from medkd.loss_check import check_loss as checking
from medkd.loss_check import in_process
from medkd.loss_check.verdict import LossReport, SettingVerdicts, held
from tests.loss_check.faults import NUMBER_OF_NUMPY


@pytest.fixture
def asked(monkeypatch):
    """Let both kinds of check answer at once; return what they were asked."""
    found = []

    def answer(name, holds):
        law = held("a law", holds, "fine", "not fine")
        return LossReport(
            loss=name, source="x", settings=(SettingVerdicts(task="classification", spatial_dims=2, laws=(law,)),), controls=()
        )

    def of_file(path, function, *, seconds):
        found.append((path.name, function, seconds))
        return answer(path.name, function != "bad")

    monkeypatch.setattr(in_process, "check_file", of_file)
    monkeypatch.setattr(checking, "check_loss", lambda loss: answer(loss.name, True))
    return found


def test_a_name_and_a_file_are_told_apart(here, asked, tmp_path):
    assert here("check-loss", "logit_kd")[:2] == (
        0,
        "logit_kd (x), on small networks: classification 2D\nholds          a law: fine\nall laws hold\n",
    )
    status, text, _ = here("check-loss", tmp_path / "own.py", "--time-limit", "5", "--json")
    assert (status, json.loads(text)["ok"], asked) == (0, True, [("own.py", None, 5.0)])


def test_a_broken_law_is_exit_status_1(here, asked, tmp_path):
    status, text, _ = here("check-loss", tmp_path / "own.py", "--function", "bad")
    assert (status, "broken         a law [classification 2D]: not fine" in text) == (1, True)


def test_what_is_no_loss_is_one_sentence_and_exit_status_2(here, tmp_path):
    for given, code in (("logit_kdd", "CATALOGUE_UNKNOWN"), (tmp_path / "missing.py", "LOSS_FILE"), (tmp_path, "LOSS_FILE")):
        status, text, errors = here("check-loss", given)
        assert (status, text, errors.split(":")[0]) == (2, "", code)


def test_the_published_fault_is_named_with_its_line_by_the_command_itself(here, tmp_path):
    (tmp_path / "maps.py").write_text(NUMBER_OF_NUMPY, encoding="utf-8")
    status, text, errors = here("check-loss", tmp_path / "maps.py")
    assert (status, errors, text.splitlines()[-1]) == (1, "", "4 broken")
    assert "broken         the gradient reaches the student [classification 2D]: the loss returns the number" in text
    assert "line 6 passes a tensor through numpy: a, b = (m.detach().cpu().numpy() for m in maps)" in text
    assert "not asked: they say nothing of a term without a gradient" in text
