"""The picture of a loss statement."""

from __future__ import annotations

import io

from PIL import Image

from medkd.evaluation.draw_loss_statement import draw_loss_statement
from medkd.evaluation.loss_statement import compare_with_teacher
from tests.evaluation.paired_results import STUDENT, simulated


def test_a_picture_shows_gains_too_and_what_is_equal_where_there_is_nothing_else():
    teacher, student = simulated(3, n=80, forgotten="c")
    better = draw_loss_statement(compare_with_teacher(student, teacher))
    same = draw_loss_statement(compare_with_teacher(teacher, teacher.model_copy(update={"weights_digest": STUDENT})))
    widths = {Image.open(io.BytesIO(one)).size[0] for one in (better, same)}
    assert len(widths) == 1
