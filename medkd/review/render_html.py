"""The review page: one self-contained HTML file, a pure function of the report and its arrays."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from numpy.typing import NDArray
from skimage.measure import find_contours
from torch import Tensor

from data_contracts import BANNER, DataError, Finding, ReviewReport
from medkd.explanation.wording import failed_mark
from medkd.pictures.colours import grey, heat, png
from medkd.review.against_teacher import standing_of
from medkd.review.orientation_marks import picture_marks

MOST_BYTES = 8 * 2**20
#: Heat is embedded on the key slice and this many slices to each side of it.
HEAT_REACH = 8
_OUTLINES = ("student", "teacher", "reference")
_PANES = (("plain", "Slice"), ("student", "Student"), ("teacher", "Teacher"), ("difference", "Student − teacher"))


def render_html(report: ReviewReport, arrays: Mapping[str, Tensor]) -> str:
    """Return the page of a report; the same report and arrays give the same bytes.

    The page asks nothing of a network: its content-security policy allows the one style, the one script (both by their
    sha256) and pictures inside the file. Overlays are locked until the reader has recorded an own read.

    Args:
        report: what is shown.
        arrays: the tensors ``report.arrays`` points to, each of shape ``report.geometry.shape``.

    Raises:
        DataError: ``PAGE_TOO_LARGE`` when the file would exceed 8 MiB.
    """
    page = _template().render(
        banner=BANNER,
        report=report,
        report_digest=report.digest(),
        policy=_policy(),
        style=Markup(_source("report.css")),
        script=Markup(_source("report.js")),
        data=Markup(_embed(_page_data(report, arrays))),
        rows=[_row(number, finding) for number, finding in enumerate(report.findings, 1)],
        probabilities=any(finding.student_probability or finding.teacher_probability for finding in report.findings),
        panes=[(role, title) for role, title in _PANES if role in _shown_roles(report, arrays)],
        marks=picture_marks(report.geometry),
        spacing_mm=_spacing_mm(report),
    )
    if len(page.encode()) > MOST_BYTES:
        raise DataError("PAGE_TOO_LARGE", f"expected a page of at most {MOST_BYTES} bytes, got {len(page.encode())}")
    return page


def _shown_roles(report: ReviewReport, arrays: Mapping[str, Tensor]) -> set[str]:
    """Return the panes of a report: without a teacher's answer there is neither its pane nor a difference."""
    teacher = "teacher_mask" in arrays or any(m.role == "teacher" for finding in report.findings for m in finding.maps)
    return {"plain", "student"} | ({"teacher", "difference"} if teacher else set())


@functools.cache
def _source(name: str) -> str:
    return files("medkd.review").joinpath("templates", name).read_text(encoding="utf-8")


@functools.cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["figure"] = _figure
    return environment.from_string(_source("report.html"))


def _policy() -> str:
    """Return the page's content-security policy: what is not in the file is not loaded."""
    style, script = (base64.b64encode(hashlib.sha256(_source(name).encode()).digest()).decode() for name in ("report.css", "report.js"))
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; base-uri 'none'; form-action 'none'"
    )


def _embed(payload: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")


def _page_data(report: ReviewReport, arrays: Mapping[str, Tensor]) -> dict[str, Any]:
    slices, rows, columns = report.geometry.shape
    spacing = _spacing_mm(report)
    return {
        "size": [rows, columns],
        "aspect": [columns * spacing[2], rows * spacing[1]],
        "base": [_data_uri(grey(plane, report.window)) for plane in arrays["volume"].float().numpy()],
        "outlines": {name: [_path(plane) for plane in arrays[f"{name}_mask"].numpy()] for name in _OUTLINES if f"{name}_mask" in arrays},
        "heat": [_heat_of(finding, arrays, slices) for finding in report.findings],
        "positions": [round(float(report.geometry.position_lps_mm(index, 0, 0)[2]), 1) for index in range(slices)],
    }


def _heat_of(finding: Finding, arrays: Mapping[str, Tensor], slices: int) -> dict[str, Any]:
    """Return per explainer the pictures of student, teacher (if there is one) and their difference: one symmetric scale for all."""
    tensors = {(m.explainer, m.role): arrays[m.tensor].float().numpy() for m in finding.maps}
    key = finding.lesion.key_slice
    shown = range(max(0, key - HEAT_REACH), min(slices, key + HEAT_REACH + 1))
    result: dict[str, Any] = {}
    for explainer in dict.fromkeys(m.explainer for m in finding.maps):
        planes = {role: tensors[explainer, role] for role in ("student", "teacher") if (explainer, role) in tensors}
        limit = float(max(np.abs(plane).max() for plane in planes.values()))
        failed = _failed(finding, explainer)
        if len(planes) == 2:
            planes["difference"] = planes["student"] - planes["teacher"]
        result[explainer] = {
            "limit": f"{limit:.3g}",
            "failed": failed,
            "planes": {
                role: {str(k): _data_uri(heat(plane[k], limit, failed=bool(failed))) for k in shown if plane[k].any()}
                for role, plane in planes.items()
            },
        }
    return result


def _failed(finding: Finding, explainer: str) -> str:
    """Return what an explainer's maps of a finding failed, in words; both roles are asked the same and marked the same."""
    return next((mark for m in finding.maps if m.explainer == explainer and (mark := failed_mark(m))), "")


def _path(mask: NDArray[np.uint8]) -> str:
    """Return the SVG path of a mask's outlines in pixels, (0, 0) being the corner of the first pixel."""
    if not mask.any():
        return ""
    loops = find_contours(np.pad(mask.astype(float), 1), 0.5)
    return "".join("M" + "L".join(f"{c - 0.5:.1f} {r - 0.5:.1f}" for r, c in loop) + "Z" for loop in loops)


def _data_uri(pixels: NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def _spacing_mm(report: ReviewReport) -> tuple[float, float, float]:
    affine = np.asarray(report.geometry.affine_lps_mm)
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    return (round(float(lengths[0]), 3), round(float(lengths[1]), 3), round(float(lengths[2]), 3))


def _row(number: int, finding: Finding) -> dict[str, Any]:
    """Return what the tables show of one finding: per explainer the measures of both roles and their agreement."""
    table = []
    for explainer in dict.fromkeys(m.explainer for m in finding.maps):
        of = {m.role: {value.name: value.value for value in m.measures} for m in finding.maps if m.explainer == explainer}
        one = next(m for m in finding.maps if m.explainer == explainer)
        agreement = finding.agreement.get(explainer)
        table.append(
            {
                "explainer": explainer,
                "target": one.target,
                "failed": _failed(finding, explainer),
                "student": of.get("student", {}),
                "teacher": of.get("teacher", {}),
                "cosine": agreement.cosine if agreement else None,
                "rank": agreement.rank_correlation if agreement else None,
            }
        )
    standing = standing_of(finding)
    told = {"agrees": "teacher agrees", "student only": "only the student", "no teacher": "no teacher"}[standing]
    return {"number": number, "finding": finding, "maps": table, "standing": standing, "teacher": told}


def _figure(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
