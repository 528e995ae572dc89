from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from data_contracts import ClassAnswer, Geometry, ReviewReport, SanityCheck, map_name, read_record
from medkd.review.compare_prior import compare_prior
from medkd.review.render_html import render_html
from medkd.review.shown import PriorStudy, StudyArrays

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "review_2.json"
SHAPE = (12, 40, 48)
CAM = {role: map_name(1, role, "grad_cam") for role in ("student", "teacher")}


@pytest.fixture
def arrays():
    """Return a volume with one bright lesion, masks of three sources, and a signed map per role."""
    generator = torch.Generator().manual_seed(0)
    volume = 40 * torch.randn(SHAPE, generator=generator)
    mask = torch.zeros(SHAPE, dtype=torch.uint8)
    mask[3:7, 10:20, 12:24] = 1
    kept = {name: torch.randn(SHAPE, generator=generator) * mask for name in CAM.values()}
    kept |= {"mask/1": mask, "segmentation/student": mask, "segmentation/teacher": mask.roll(1, dims=2)}
    return StudyArrays(
        (volume + 100 * mask).numpy(), ({name: values.numpy() for name, values in kept.items()},), mask.roll(1, dims=1).numpy()
    )


def explained(report, **changes):
    """Return a report whose explanation is changed."""
    return report.model_copy(update={"explanations": (report.explanations[0].model_copy(update=changes),)})


@pytest.fixture
def report(arrays):
    """Return a report of one lesion on the grid of ``arrays``, whose explainer passed its tests."""
    base = read_record(GOLDEN.read_bytes(), ReviewReport)
    one = base.explanations[0]
    geometry = Geometry(
        shape=SHAPE, affine_lps_mm=one.volume.geometry.affine_lps_mm, spacing_mm=one.volume.geometry.spacing_mm, residual_mm=0.001
    )
    changes = {"key_slice": 4, "first_slice": 3, "last_slice": 6, "dice_to_reference": 0.8, "share_in_teacher": None}
    passed = SanityCheck(name="randomisation", value=0.2, limit=0.5, passed=True)
    return explained(
        base,
        volume=one.volume.model_copy(update={"geometry": geometry}),
        lesions=(one.lesions[0].model_copy(update=changes),),
        sanity_reports=(one.sanity_reports[0].model_copy(update={"checks": (passed,), "trusted": True, "samples": None}),),
        teacher_only=(),
        caveats=(),
    )


@pytest.fixture
def change():
    """Return what changes the lesion, the explanation or the tests of a report."""

    def changed(report, *, lesion=None, failed=(), **changes):
        one = report.explanations[0]
        if lesion and "lesions" not in changes:
            changes["lesions"] = (one.lesions[0].model_copy(update=lesion),)
        if failed:
            checks = tuple(SanityCheck(name=name, value=0.9, limit=0.5, passed=False) for name in failed)
            changes["sanity_reports"] = (one.sanity_reports[0].model_copy(update={"checks": checks, "trusted": False}),)
        return explained(report, **changes)

    return changed


@pytest.fixture
def nothing_found(report):
    return explained(report, lesions=(), maps=(), sanity_reports=()).model_copy(update={"caveats": ()})


@pytest.fixture
def of_a_panel(report, arrays):
    """Return a report by two models, and its arrays: a segmenter's lesion, and a classifier's answer with two explainers of its own."""
    one = report.explanations[0]
    kept = {
        map_name(1, role, name): arrays.explained[0][CAM[role]] * (index + 2)
        for index, name in enumerate(("cam", "saliency"))
        for role in ("student", "teacher")
    }
    maps = tuple(
        ref.model_copy(
            update={
                "tensor": map_name(1, ref.model_role, name),
                "method": ref.method.model_copy(update={"explainer": name}),
                "target": ref.target.model_copy(update={"kind": "class_margin"}),
            }
        )
        for name in ("cam", "saliency")
        for ref in one.maps
    )
    answer = ClassAnswer(
        number=1, class_name="malignant", probability=0.8, first_slice=1, last_slice=9, key_slice=6,
        probabilities={"benign": 0.2, "malignant": 0.8}, teacher_probabilities={"benign": 0.6, "malignant": 0.4},
    )  # fmt: skip
    classifier = one.model_copy(
        update={
            "kind": type(one.kind)("classification"),
            "mass": "absolute",
            "lesions": (),
            "answers": (answer,),
            "maps": maps,
            "model": one.model.model_copy(update={"name": "classifier"}),
            "sanity_reports": tuple(one.sanity_reports[0].model_copy(update={"explainer": name}) for name in ("cam", "saliency")),
        }
    )
    both = report.model_copy(update={"explanations": (one, classifier)})
    return both, StudyArrays(arrays.volume, (*arrays.explained, kept), arrays.label)


@pytest.fixture
def open_page(browser, tmp_path):
    """Return an opener of reports; an opened page keeps its requests and its console messages and errors."""
    opened = []

    def opener(report, arrays, *, prior=None, html=None, address="", **context):
        path = tmp_path / "report.html"
        path.write_text(html or render_html(report, arrays, prior), encoding="utf-8")
        opened.append(browser.new_context(**{"viewport": {"width": 1360, "height": 900}, **context}))
        page = opened[-1].new_page()
        page.requests, page.problems = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(path.as_uri() + address)
        if context.get("java_script_enabled", True):
            page.wait_for_selector("body[data-ready]")
        return page

    opener.browser = browser
    yield opener
    for one in opened:
        one.close()


@pytest.fixture
def prior(report, arrays):
    """Return an earlier study of the same patient on another grid: half as many rows and columns, and a smaller lesion in the same place."""
    one = report.explanations[0]
    space = one.volume.geometry
    affine = tuple(map(tuple, (np.asarray(space.affine_lps_mm) * (1, 2, 2, 1)).tolist()))
    shape = (12, 20, 24)
    geometry = Geometry(
        shape=shape, affine_lps_mm=affine, spacing_mm=(space.spacing_mm[0], *(2 * step for step in space.spacing_mm[1:])), residual_mm=0.001
    )
    mask = np.zeros(shape, np.uint8)
    mask[4:7, 5:10, 6:12] = 1
    volume = one.volume.model_copy(update={"geometry": geometry, "study_key": "t0", "series_key": "s0"})
    lesion = one.lesions[0].model_copy(update={"volume_ml": 1.25, "diameter_mm": 11.0, "key_slice": 5})
    earlier = explained(report, volume=volume, lesions=(lesion,), maps=())
    kept = {"mask/1": mask, "segmentation/student": mask}
    return PriorStudy(earlier, StudyArrays(arrays.volume[:, ::2, ::2].copy(), (kept,)))


@pytest.fixture
def followed(report, arrays, prior):
    """Return the report that compares with the prior study."""
    return report.model_copy(update={"prior": compare_prior(report, arrays, prior.report, prior.arrays)})


@pytest.fixture(scope="session")
def chinese_font():
    """Skip without a font that has Chinese characters."""
    listing = shutil.which("fc-list")
    if listing is None or not subprocess.run([listing, ":lang=zh"], capture_output=True, check=True).stdout.strip():
        pytest.skip("a Chinese font is missing: run `make system` as root")
