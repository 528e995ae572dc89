"""`medkd report-study`: what it is told goes to the one function, and bad input is one sentence."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from flows.cli import main
from medkd.review import remake_report as module


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
    assert calls == [(tmp_path, tmp_path, {"store": None, "prior": None, "pdf": ()})]
    assert json.loads(capsys.readouterr().out)["page"] == str(tmp_path / "report.html")


def test_both_languages_and_a_prior_go_to_another_folder(called, tmp_path, capsys, chromium_path):
    calls, said = called
    (tmp_path / "now").mkdir()
    assert said(tmp_path / "now", "--prior", tmp_path / "then", "--pdf", "both", "--out", tmp_path / "out") == 0
    ((folder, out, options),) = calls
    assert (folder, out) == (tmp_path / "now", tmp_path / "out")
    assert options == {"store": None, "prior": tmp_path / "then", "pdf": ("en", "zh")}
    assert "report.zh.pdf" in capsys.readouterr().out


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
