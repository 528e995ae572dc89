from __future__ import annotations

import subprocess

import pytest

from data_contracts import MissingDependencyError
from medkd.review import fonts
from medkd.review.fonts import chinese_font


@pytest.fixture(autouse=True)
def forgotten():
    chinese_font.cache_clear()
    yield
    chinese_font.cache_clear()


def listed(monkeypatch, text):
    monkeypatch.setattr(fonts.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(fonts.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0, stdout=text))


def test_the_same_font_is_taken_each_time(monkeypatch):
    listed(monkeypatch, "/b/second.ttc: \n/a/first.ttf: \n\n")
    assert str(chinese_font()) == "/a/first.ttf"


def test_without_a_font_there_is_one_sentence(monkeypatch):
    listed(monkeypatch, "\n")
    with pytest.raises(MissingDependencyError, match="fonts-wqy-microhei") as caught:
        chinese_font()
    assert caught.value.code == "CHINESE_FONT_MISSING"


def test_where_fonts_cannot_be_listed_nothing_is_known(monkeypatch):
    monkeypatch.setattr(fonts.shutil, "which", lambda _: None)
    assert chinese_font() is None
