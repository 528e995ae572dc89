"""`medkd feedback` on the command line: what is taken in, shown, written out and signed, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pydicom
import pytest

from data_contracts import (
    LIKERT_ITEMS,
    CorrectedMask,
    FeedbackForm,
    FindingVerdict,
    OwnReadAnswer,
    ReviewReport,
    load_record,
    read_record,
)
from medkd.feedback.log import LINES, FeedbackLog
from medkd.registry.mlflow_registry import MlflowRegistry
from medkd.volumes.voxel_masks import mask_of
from tests.feedback.published import published_report

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_2.json"


@pytest.fixture
def report():
    base = read_record(GOLDEN.read_bytes(), ReviewReport)
    return base.model_copy(update={"explanations": (base.explanations[0].model_copy(update={"teacher_only": ()}),)})


@pytest.fixture
def site(here, tmp_path, monkeypatch, report):
    """Return a caller of the command line beside a report and a folder for forms."""
    monkeypatch.chdir(tmp_path)
    report.write(tmp_path / "reports" / "s1" / "report.json")
    (tmp_path / "forms").mkdir()
    return here


@pytest.fixture
def save(report, tmp_path):
    """Return what saves a form as a page does."""

    def write(name, number=1, **changes):
        verdict = FindingVerdict(finding=report.explanations[0].lesions[0].tracking_id, prediction="agree", explanation="not_judged")
        fields = {
            "form": f"{number:032x}", "report": report.digest(), "study_key": report.volume.study_key, "decision": "accept",
            "verdicts": (verdict,), "likert": dict.fromkeys(LIKERT_ITEMS, 3), "seconds_on_page": 9.0, "seconds_with_overlay": 1.0,
            "page_version": "0.1.0", "own_read": OwnReadAnswer(answer="present", seconds=2.0), **changes,
        }  # fmt: skip
        (tmp_path / "forms" / name).write_bytes(FeedbackForm.model_validate(fields).canonical_json())

    return write


TAKE = ("feedback", "import", "forms", "--log", "log", "--reports", "reports", "--reviewer", "r1")


def test_forms_are_taken_in_shown_written_out_and_verified(site, save, tmp_path):
    save("a.json", comment="The map lies on the rib.")
    save("b.json", 2, comment="Discussed with Dr. Miller.")
    status, line, _ = site(*TAKE, "--json")
    said = json.loads(line)
    assert (status, said["ok"], [name for name, _ in said["kept"]]) == (0, True, ["a.json"])
    assert [(one["file"], one["code"]) for one in said["refused"]] == [("b.json", "IDENTIFIER_IN_TEXT")]
    status, text, _ = site(*TAKE)
    assert status == 0
    assert re.search(r"a\.json: there already, [0-9a-f]{64}\nb\.json: refused, IDENTIFIER_IN_TEXT: expected comment without", text)
    status, line, _ = site("feedback", "verify", "log", "--json")
    assert (status, json.loads(line)["entries"]) == (0, 2)
    last = json.loads(line)["last"]
    assert site("feedback", "verify", "log", "--expect", last)[0] == 0
    assert "rib" in site("feedback", "show", "log", "--entry", last[:12])[1]
    assert site("feedback", "show", "log")[1].startswith("2 entries: 1 own_read, 1 feedback\n")
    assert json.loads(site("feedback", "show", "log", "--reports", "reports", "--json")[1])["changes"]
    for form, comments, holds in (("jsonl", (), False), ("csv", (), False), ("csv", ("--comments",), True)):
        assert site("feedback", "export", "log", "--out", "out", "--format", form, *comments)[0] == 0
        assert ("rib" in (tmp_path / "out").read_text()) is holds


def test_one_byte_changed_ends_with_status_2_and_names_the_entry(site, save, tmp_path):
    save("a.json")
    assert site(*TAKE)[0] == 0
    path = tmp_path / "log" / LINES
    path.write_bytes(path.read_bytes().replace(b'"accept"', b'"reject"'))
    for command in (("verify", "log"), ("show", "log"), ("export", "log", "--out", "out"), TAKE[1:]):
        status, _, errors = site("feedback", *command)
        assert status == 2
        assert errors.splitlines()[-1].startswith("FEEDBACK_LOG_ALTERED: expected entry 1 of the feedback log with digest ")


def test_an_earlier_copy_that_was_put_back_is_shown_by_a_digest_noted_elsewhere(site, save, tmp_path):
    save("a.json")
    site(*TAKE)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "log").iterdir()}
    save("b.json", 2, decision="reject")
    site(*TAKE, "--correct")
    last = json.loads(site("feedback", "verify", "log", "--json")[1])["last"]
    for name, payload in kept.items():
        (tmp_path / "log" / name).write_bytes(payload)
    assert site("feedback", "verify", "log")[0] == 0
    status, _, errors = site("feedback", "verify", "log", "--expect", last)
    assert (status, errors.split(":")[0]) == (2, "FEEDBACK_ENTRY")


def test_all_forms_refused_is_status_2(site, save):
    save("b.json", comment="MRN 4711002")
    status, out, errors = site(*TAKE)
    assert status == 2
    assert "b.json: refused, IDENTIFIER_IN_TEXT" in out
    assert errors.splitlines()[-1].startswith("FEEDBACK_REFUSED: expected a form that can be kept, all 1 are refused")
    assert "4711002" not in out + errors


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("verify", "missing"), "FEEDBACK_LOG_MISSING"),
        (("show", "reports"), "FEEDBACK_LOG_MISSING"),
        (("export", "reports/s1/report.json", "--out", "x"), "FEEDBACK_LOG_MISSING"),
        (("import", "missing", "--log", "log", "--reports", "reports", "--reviewer", "r1"), "SOURCE_MISSING"),
        (("import", "forms", "--log", "log", "--reports", "reports", "--reviewer", "r1"), "SOURCE_MISSING"),
        (("import", "reports/s1", "--log", "log", "--reports", "forms", "--reviewer", "r1"), "SOURCE_MISSING"),
        (("import", "reports/s1", "--log", "log", "--reports", "reports", "--reviewer", "Jane Doe"), "FEEDBACK_REVIEWER"),
        (
            ("import", "reports/s1", "--log", "log", "--reports", "reports", "--reviewer", "r1", "--role", "Dr. Miller"),
            "IDENTIFIER_IN_TEXT",
        ),
        (("import", "reports/s1", "--log", "log", "--reports", "reports", "--reviewer", "r1"), "FEEDBACK_REFUSED"),
        (("import", "reports/s1", "--log", "log", "--reports", "reports", "--reviewer", "r1", "--seg", "x"), "CONTRACT_VERSION"),
        (("masks", "log", "--entry", "0" * 64, "--reports", "reports", "--source", "forms", "--out", "x"), "FEEDBACK_LOG_MISSING"),
        (("sign-sr", "x", "--log", "log", "--entry", "0" * 64, "--reports", "reports", "--out", "x"), "FEEDBACK_LOG_MISSING"),
        (("mirror", "log", "--reports", "reports", "--run", "missing"), "REGISTRY_MISSING"),
    ],
)
def test_what_cannot_be_is_one_sentence_with_a_code(site, tmp_path, arguments, code):
    before = sorted(tmp_path.rglob("*.json"))
    status, _, errors = site("feedback", *arguments)
    assert status == 2
    assert errors.strip().splitlines()[-1].startswith(f"{code}: expected "), errors
    assert "Jane" not in errors
    assert sorted(tmp_path.rglob("*.json")) == before


@pytest.mark.parametrize("command", ["masks", "sign-sr"])
def test_entries_are_named_by_enough_of_their_digests(site, save, command):
    save("a.json")
    site(*TAKE)
    more = ("x", "--log", "log") if command == "sign-sr" else ("log", "--source", "forms")
    for digest in ("", "abc", "0" * 64):
        status, _, errors = site("feedback", command, *more, "--entry", digest, "--reports", "reports", "--out", "x")
        assert (status, errors.strip().splitlines()[-1].split(":")[0]) == (2, "FEEDBACK_ENTRY")
    last = json.loads(site("feedback", "verify", "log", "--json")[1])["last"]
    status, _, errors = site("feedback", command, *more, "--entry", last[:10], "--reports", "reports", "--out", "x")
    assert (status, errors.strip().splitlines()[-1].split(":")[0]) == (2, "MASK_NONE" if command == "masks" else "CONTRACT_MISSING")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return a folder with a report, its study's images and the published structured report of it."""
    folder = tmp_path_factory.mktemp("study")
    published_report(folder)
    return folder


def test_masks_go_out_and_come_back_and_an_accepted_report_is_signed(here, study, tmp_path, monkeypatch):
    """The whole way on the command line: a form, its masks in a viewer and back, a correction, and the signature."""
    monkeypatch.chdir(tmp_path)
    report = load_record(study / "report.json", ReviewReport)
    shape, log, forms = report.volume.geometry.shape, tmp_path / "log", tmp_path / "forms"
    names = [one.tracking_id for one in report.explanations[0].lesions]
    voxels = np.zeros(shape, bool)
    voxels[4, 11:15, 6] = True
    mask = CorrectedMask(meaning="forbidden", voxels=mask_of(voxels))
    fields = {
        "report": report.digest(), "study_key": report.volume.study_key, "likert": dict.fromkeys(LIKERT_ITEMS, 3), "seconds_on_page": 9.0,
        "seconds_with_overlay": 1.0, "page_version": "0.1.0", "own_read": OwnReadAnswer(answer="present", seconds=2.0),
    }  # fmt: skip

    def verdicts(explanation, *masks):
        first = FindingVerdict(finding=names[0], prediction="agree", explanation=explanation, masks=masks)
        return (first, *(FindingVerdict(finding=name, prediction="agree", explanation="accepted") for name in names[1:]))

    FeedbackForm(form="1" * 32, decision="correct", verdicts=verdicts("corrected", mask), **fields).write(forms / "a.json")
    take = ("--log", log, "--reports", study, "--json")
    status, line, _ = here("feedback", "import", forms / "a.json", "--reviewer", "r1", *take)
    assert status == 0
    (((_, corrected),), common) = json.loads(line)["kept"], ("--log", log, "--reports", study)
    status, line, errors = here(
        "feedback", "masks", log, "--entry", corrected, "--reports", study, "--source", study / "dicom", "--out", "segs", "--json"
    )
    assert (status, json.loads(line)["files"]) == (0, ["feedback-1-1.dcm"]), errors
    FeedbackForm(form="2" * 32, decision="correct", verdicts=verdicts("rejected"), **fields).write(forms / "b.json")
    status, _, errors = here("feedback", "import", forms / "b.json", "--reviewer", "r2", "--seg", "segs/feedback-1-1.dcm", *common)
    assert status == 0, errors
    (read,) = FeedbackLog(log).entries()[3].record.verdicts[0].masks
    assert (read.voxels, read.meaning, read.source) == (mask.voxels, "forbidden", "dicom_seg")
    sign = ("feedback", "sign-sr", study / "results", *common, "--out", "signed.dcm")
    status, _, errors = here(*sign, "--entry", corrected)
    assert (status, errors.strip().splitlines()[-1].split(":")[0]) == (2, "SR_NOT_ACCEPTED")
    FeedbackForm(form="3" * 32, decision="accept", verdicts=verdicts("accepted"), **fields).write(forms / "c.json")
    status, line, _ = here("feedback", "import", forms / "c.json", "--reviewer", "r1", "--correct", *take)
    ((_, accepted),) = json.loads(line)["kept"]
    status, line, errors = here(*sign, "--entry", accepted)
    assert (status, line) == (0, "wrote signed.dcm: verified by r1, entry 4 of the log\n"), errors
    assert pydicom.dcmread("signed.dcm").VerificationFlag == "VERIFIED"


def test_judgements_are_shown_beside_their_model_on_the_command_line(site, save, tmp_path):
    save("a.json")
    site(*TAKE)
    MlflowRegistry(f"sqlite:///{tmp_path / 'run' / 'mlflow.db'}", artifacts=tmp_path / "run" / "mlartifacts")
    status, line, errors = site("feedback", "mirror", "log", "--reports", "reports", "--run", "run", "--json")
    assert status == 0, errors
    said = json.loads(line)
    assert (said["attached"], said["assessments"], len(said["unknown_models"])) == (0, 0, 1)
