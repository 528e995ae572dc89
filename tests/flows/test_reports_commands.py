"""`medkd report-study`: what it is told goes to the one function, and bad input is one sentence."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_contracts import LIKERT_ITEMS, FeedbackForm, OwnReadAnswer, ReviewReport, read_record
from flows.cli import main
from medkd.feedback.keep import Reviewer, keep_form
from medkd.feedback.log import FeedbackLog
from medkd.review import remake_report as module
from medkd.review.page_context import Verification

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_2.json"


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Return the calls of what makes reports, and what a command line says."""
    calls = []

    def remake(folder, out, **options):
        calls.append((folder, out, options))
        report = SimpleNamespace(prior=None, digest=lambda: "d")
        return SimpleNamespace(report=report, page=out / "report.html", pdfs={one: out / f"report.{one}.pdf" for one in options["pdf"]})

    monkeypatch.setattr(module, "remake_report", remake)

    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["medkd", "report-study", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code or 0

    return calls, said


def test_a_report_is_made_again_in_its_folder(called, tmp_path, capsys):
    calls, said = called
    assert said(tmp_path, "--json") == 0
    assert calls == [(tmp_path, tmp_path, {"store": None, "prior": None, "pdf": (), "verified": None})]
    assert json.loads(capsys.readouterr().out)["page"] == str(tmp_path / "report.html")


def test_both_languages_and_a_prior_go_to_another_folder(called, tmp_path, capsys, chromium_path):
    calls, said = called
    (tmp_path / "now").mkdir()
    assert said(tmp_path / "now", "--prior", tmp_path / "then", "--pdf", "both", "--out", tmp_path / "out") == 0
    ((folder, out, options),) = calls
    assert (folder, out) == (tmp_path / "now", tmp_path / "out")
    assert options == {"store": None, "prior": tmp_path / "then", "pdf": ("en", "zh"), "verified": None}
    assert "report.zh.pdf" in capsys.readouterr().out


@pytest.mark.parametrize(("decision", "verified"), [("accept", True), ("reject", False)])
def test_where_a_reader_accepted_it_the_page_is_told_by_whom_and_when(called, tmp_path, decision, verified):
    base = read_record(GOLDEN.read_bytes(), ReviewReport)
    report = base.model_copy(update={"explanations": (base.explanations[0].model_copy(update={"lesions": (), "teacher_only": ()}),)})
    report.write(tmp_path / "study" / "report.json")
    form = FeedbackForm(
        form="1" * 32, report=report.digest(), study_key=report.volume.study_key, decision=decision, likert=dict.fromkeys(LIKERT_ITEMS, 3),
        seconds_on_page=1, seconds_with_overlay=0, page_version="0", own_read=OwnReadAnswer(answer="absent", seconds=1),
    )  # fmt: skip
    entry = keep_form(FeedbackLog(tmp_path / "log"), report, form, Reviewer("r1", "radiologist"), offline=True)
    calls, said = called
    assert said(tmp_path / "study", "--feedback", tmp_path / "log", "--json") == 0
    assert calls[0][2]["verified"] == (Verification("r1", entry.at) if verified else None)
    assert said(tmp_path / "study", "--feedback", tmp_path / "nothing") == 2
    assert len(calls) == 1


def test_a_folder_without_a_report_is_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["medkd", "report-study", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "NO_REPORT" in capsys.readouterr().err


def test_a_folder_of_somebody_else_is_not_written_to(called, tmp_path, capsys):
    calls, said = called
    (tmp_path / "now").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.txt").write_text("mine")
    assert said(tmp_path / "now", "--out", tmp_path / "theirs") == 2
    assert not calls
