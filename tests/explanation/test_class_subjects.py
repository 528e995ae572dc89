from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from data_contracts import ClassAnswer
from medkd.explanation.class_subjects import _subject


def study_of(alignment):
    return SimpleNamespace(alignment=alignment, task=SimpleNamespace(classes=("benign", "malignant")))


@pytest.mark.parametrize(("key", "span"), [(2, (2, 5)), (5, (4, 7)), (9, (7, 10)), (10, (7, 10))])
def test_of_a_long_answer_the_slices_round_its_surest_are_explained_and_no_others(key, span):
    answer = ClassAnswer(number=1, class_name="malignant", probability=0.9, first_slice=2, last_slice=9, key_slice=min(key, 9))
    marked = torch.ones(12, 2, 2, dtype=torch.uint8)
    subject = _subject(answer, marked, study_of(None), 3)
    assert (subject.span.start, subject.span.stop) == span
    assert subject.region.flatten(1).any(1).nonzero()[:, 0].tolist() == list(range(*span))
    assert subject.index == 1
    assert _subject(answer, marked, study_of(None), None).span == slice(2, 10)
