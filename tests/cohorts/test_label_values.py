from __future__ import annotations

import logging

import numpy as np
import pytest

from data_contracts import DataError, IngestCode, IngestError, Task
from medkd.cohorts.label_values import LabelValues

TWO = Task(kind="segmentation", classes=("background", "lesion"))
THREE = Task(kind="segmentation", classes=("background", "Left Kidney", "tumour"))
CLASSES = Task(kind="classification", classes=("benign", "malignant"))


def read(task, values, names=None):
    return LabelValues(task, names or {}).read(np.asarray(values)).label.tolist()


@pytest.mark.parametrize(
    ("task", "names", "values", "classes"),
    [
        (THREE, {}, [0, 1, 2], [0, 1, 2]),
        (THREE, {}, [0.0, 0.9995, 2.0005], [0, 1, 2]),
        (TWO, {}, [0, 255], [0, 1]),
        (THREE, {0: "background", 5: "left_kidney", 9: "TUMOUR"}, [0, 9, 5], [0, 2, 1]),
        (THREE, {1: "spleen", 2: "liver"}, [0, 1, 2], [0, 1, 2]),
        (CLASSES, {}, [0, 7, 255], [0, 7, 255]),
    ],
)
def test_values_are_brought_to_classes_where_nothing_is_guessed(task, names, values, classes):
    assert read(task, values, names) == classes


@pytest.mark.parametrize(
    ("task", "names", "values", "said"),
    [
        (THREE, {}, [0, 3], r"expected the label values 0 \(background\), 1 \(Left Kidney\), 2 \(tumour\), got 3"),
        (THREE, {}, [0, 255], "got 255"),
        (TWO, {}, [0, 1, 255], "got 255"),
        (TWO, {}, [0, 0.5], "got 0.5"),
        (TWO, {}, [-1, 0], "got -1"),
        (THREE, {5: "Left Kidney", 9: "tumour", 7: "cyst"}, [0, 7], r"got 7 \(cyst\)"),
        (CLASSES, {}, [0, 256], "expected the label values 0 to 255, got 256"),
        (TWO, {}, [0, np.nan], "that are numbers, got nan"),
    ],
)
def test_any_other_value_is_refused_with_what_was_found(task, names, values, said):
    with pytest.raises(IngestError, match=said) as caught:
        read(task, values, names)
    assert caught.value.ingest_code is IngestCode.UNKNOWN_SEGMENT


@pytest.mark.parametrize("names", [{5: "Left Kidney"}, {5: "Left Kidney", 9: "tumour", 8: "tumour"}])
def test_a_list_names_every_class_once_or_none(names):
    with pytest.raises(DataError, match="once among the labels of the list") as caught:
        LabelValues(THREE, names)
    assert caught.value.code == "LABEL_VALUES"


def test_the_lesion_has_one_value_in_all_cases():
    values = LabelValues(TWO, {})
    values.accept("a", values.read(np.array([0, 255])))
    with pytest.raises(DataError, match="it is 255 in 'a' and 1 in 'b'; write the same in all"):
        values.accept("b", values.read(np.array([0, 1])))


@pytest.mark.parametrize(
    ("task", "names", "found", "said"),
    [
        (TWO, {}, [0, 1], []),
        (TWO, {}, [0, 255], ["label values taken: 0 as background, 255 as lesion"]),
        (TWO, {0: "background", 1: "cyst"}, [0, 1], ["the list calls them"]),
        (CLASSES, {}, [0, 7], []),
    ],
)
def test_what_was_taken_for_what_is_said_where_it_is_not_plain(task, names, found, said, caplog):
    values = LabelValues(task, names)
    values.accept("a", values.read(np.array(found)))
    with caplog.at_level(logging.WARNING, "medkd"):
        values.say()
    assert [wanted in record.getMessage() for wanted, record in zip(said, caplog.records, strict=True)] == [True] * len(said)
