"""The side of a lesion over all 48 orientations: what the table says in both languages, and at which letter the lesion lies in every plane."""

from __future__ import annotations

import numpy as np
import pytest

from data_contracts import Geometry, LesionFinding
from medkd.inference.components import find_components
from medkd.review.orientation_marks import views_of
from medkd.review.page_context import page_context
from medkd.review.shown import StudyArrays
from medkd.review.templating import template
from medkd.review.texts import LANGUAGES
from tests.review.conftest import explained
from tests.review.language import in_language, visible
from tests.review.test_orientation_marks import signed_permutations

#: Voxels along left, back and head, and their spacing in mm.
SHAPE, SPACING = (40, 20, 12), (8.0, 9.0, 10.0)
WORDS = {"en": {"left": "left", "right": "right"}, "zh": {"left": "左", "right": "右"}}


def oriented(order, signs, columns):
    """Return a mask of a lesion at places along the patient's left, front and above, with its voxels in any order, and where they lie."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[columns, 2:5, 8:11] = 1
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * SPACING[world]
        affine[world, 3] = -0.5 * sign * SPACING[world] * (SHAPE[world] - 1)
    turned = np.transpose(mask, order)[tuple(slice(None, None, sign) for sign in signs)]
    geometry = Geometry(
        shape=turned.shape,
        affine_lps_mm=tuple(map(tuple, affine.tolist())),
        spacing_mm=tuple(SPACING[world] for world in order),
        residual_mm=0,
    )
    return np.ascontiguousarray(turned), geometry


@pytest.mark.parametrize(("columns", "side"), [(np.s_[30:34], "left"), (np.s_[4:8], "right")])
@pytest.mark.parametrize(("order", "signs"), list(signed_permutations()))
def test_a_lesion_is_on_its_side_in_words_and_at_its_letters(report, order, signs, columns, side):
    mask, geometry = oriented(order, signs, columns)
    ((lesion, _),) = find_components(mask, geometry, class_name="lesion", smallest=1)
    assert lesion.side == side
    one = report.explanations[0]
    finding = LesionFinding(**{**lesion.model_dump(), "tracking_id": "lesion-1"})
    own = explained(report, volume=one.volume.model_copy(update={"geometry": geometry}), lesions=(finding,))
    page = template("findings.html").render(**page_context(own, StudyArrays(mask.astype(np.float32), ({"segmentation/student": mask},))))
    for language in LANGUAGES:
        cells = visible(in_language(page, language).split("<tbody>")[1].split("</tr>")[0]).split()
        assert WORDS[language][side] in cells
        assert WORDS[language][{"left": "right", "right": "left"}[side]] not in cells
    letters = {"left": "L", "right": "R"}[side] + "AS"
    for view in views_of(geometry):
        row, column = np.argwhere(view.slice_of(mask, int(np.argwhere(mask)[0][view.axis]))).mean(0)
        height, width = view.slice_of(mask, 0).shape
        edges = ("left" if column < (width - 1) / 2 else "right", "top" if row < (height - 1) / 2 else "bottom")
        for edge in edges:
            assert view.marks[edge].value in letters, (view.name, edge)
