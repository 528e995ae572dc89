"""Names are the field's: private words that were used before stand where old names are read, and nowhere else."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: Where old names are read, tested, or history.
ALLOWED = (
    "data_contracts/old_names.py",
    "tests/contracts/test_old_names.py",
    "tests/test_words.py",
    "tests/contracts/golden/",
    "CHANGELOG.md",
)
#: Names of code that the field has another name for.
NAMES = {
    "Anatomy", "Arena", "Asked", "Balance", "Circumstances", "Contrast", "Course", "CoursePoint", "EnvironmentProblem", "Evidence",
    "Explained", "ExplainerVerdict", "Fit", "GapCourse", "GapRound", "GapRounds", "Goal", "Guidance", "Inquiry", "Job", "Journal",
    "KnowledgeWish", "Lesson", "Links", "MapWish", "Memory", "Parcel", "PlantedNetwork", "PlantedTruth", "Plateau", "Question",
    "Record", "RememberedKnowledge", "Several", "Shelf", "Strong", "Subject", "Taps", "TaughtCohort", "TeacherRefused", "Term", "Trial",
    "Untold", "Validated", "Value", "arena", "begun", "embedded_workspace", "guide", "lesson", "look_alikes", "map_purpose", "mine",
    "not_to_be_trusted", "parcel", "planted_truth", "rank_share", "serve_purposes", "settle", "shelf", "stranger", "tap", "taps",
    "theirs", "told", "wish", "wishes",
}  # fmt: skip
#: Words that stand in no text, sentence, field or file name either.
WORDS = (
    "KnowledgeWish", "MapWish", "EnvironmentProblem", "TeacherRefused", "TaughtCohort", "RememberedKnowledge", "hard_label",
    "teacher_label", "standardised_kd", "bernoulli_kd", "cam_transfer", "mass_in_lesion", "rank_accuracy", "top_share_iou",
    "planted_truth", "embedded_workspace", "rank_share", "look_alikes", "not_to_be_trusted", "pair_by", "adversarial_rms", "nasty",
)  # fmt: skip


def tracked(*suffixes):
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.split() if name.endswith(suffixes) and not name.startswith(ALLOWED) and (ROOT / name).is_file()]


def names_in(text):
    return {token.string for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type == tokenize.NAME}


def test_code_uses_no_private_names():
    # To tokenise a file takes a hundred times as long as to search it, and most hold none of the words even in a sentence.
    suspect = re.compile(r"\b(" + "|".join(sorted(NAMES)) + r")\b")
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in tracked(".py")}
    found = {name: sorted(NAMES & names_in(text)) for name, text in texts.items() if suspect.search(text)}
    assert not {name: words for name, words in found.items() if words}


def test_texts_and_file_names_use_no_private_words():
    pattern = re.compile(r"\b(" + "|".join(WORDS) + r")\b")
    files = tracked(".py", ".md", ".yaml", ".html", ".js", ".toml", ".json")
    found = {name: sorted(set(pattern.findall((ROOT / name).read_text(encoding="utf-8")))) for name in files}
    assert not {name: words for name, words in found.items() if words}
    assert not [name for name in files if pattern.search(Path(name).stem)]
