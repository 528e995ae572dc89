"""Whether metadata alone predict the label: then the data hold a shortcut, whether a model follows it or not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_contracts import MetadataShortcut
from medkd.evaluation.bootstrap import auc_of, bootstrap_figure

#: Words in the names of columns that say how a picture was made, and nothing of what is in it.
ACQUISITION = (
    "device", "scanner", "manufacturer", "model", "vendor", "site", "centre", "center", "hospital", "clinic", "station", "side", "laterality",
    "view", "protocol", "kernel", "kvp", "tube", "field", "coil", "sequence", "echo", "spacing", "thickness", "width", "height", "rows",
    "columns", "voxels", "aspect", "size", "nx", "ny", "nz", "dtype", "gain", "frequency", "probe", "transducer", "depth", "date", "year",
)  # fmt: skip
#: Words in the names of columns that say what is in a picture: the size, width or view of one of these is the disease's, not the scanner's.
PATHOLOGY = (
    "lesion",
    "tumor",
    "tumour",
    "nodule",
    "mass",
    "cyst",
    "finding",
    "polyp",
    "calcification",
    "metastasis",
    "carcinoma",
    "cancer",
)
_FOLDS = 5
_PATHOLOGIES = {*PATHOLOGY, *(f"{word}s" for word in PATHOLOGY), "masses", "metastases"}
#: An AUC above it, with its whole interval, is a shortcut that is worth naming; of chance it is 0.5.
WORTH_NAMING = 0.55
#: Names of a column are spelled out up to so many; a number of names more is an identifier.
_MOST_VALUES = 24


def metadata_shortcuts(
    metadata: Sequence[Mapping[str, str]], labels: Sequence[int], patients: Sequence[str]
) -> tuple[MetadataShortcut, ...]:
    """Return how well each column that says how pictures were made predicts the class, and all of them together.

    Predictions are of patients that the logistic regression was not fitted on (five folds, grouped by patient, stratified).

    Args:
        metadata: column → value of each case.
        labels: class index of each, -1 where there is none.
        patients: patient of each.
    """
    known = [row for row, label in enumerate(labels) if label >= 0]
    wanted = np.array([labels[row] for row in known])
    people = [patients[row] for row in known]
    if (
        len(set(wanted.tolist())) < 2
        or min(len({p for p, y in zip(people, wanted, strict=True) if y == c}) for c in set(wanted.tolist())) < _FOLDS
    ):
        return ()
    columns = {
        name: values for name in _names(metadata) if (values := _features([metadata[row].get(name, "") for row in known])) is not None
    }
    found = [_shortcut((name,), values, wanted, people) for name, values in columns.items()]
    if len(columns) > 1:
        found.append(_shortcut(tuple(columns), np.concatenate(list(columns.values()), axis=1), wanted, people))
    return tuple(found)


def _names(metadata: Sequence[Mapping[str, str]]) -> list[str]:
    names = dict.fromkeys(name for line in metadata for name in line if name)
    return [name for name in names if (words := _words(name)) & set(ACQUISITION) and not words & _PATHOLOGIES]


def _words(name: str) -> set[str]:
    """Return the words of a column's name, ``LesionWidth`` and ``lesion_width`` alike."""
    return set(re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()))


def _features(values: list[str]) -> NDArray[np.float64] | None:
    """Return a column as numbers, or one number per value; None of one that is the same everywhere or tells every case apart."""
    if len(set(values)) < 2:
        return None
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        kinds = sorted(set(values))
        return None if len(kinds) > _MOST_VALUES else np.array([[float(value == kind) for kind in kinds] for value in values])
    return numbers[:, None] if np.isfinite(numbers).all() else None


def _shortcut(columns: tuple[str, ...], features: NDArray[np.float64], labels: NDArray[Any], patients: list[str]) -> MetadataShortcut:
    predicted = _out_of_fold(features, labels, patients)
    classes = sorted(set(labels.tolist()))
    parts = [auc_of(predicted[None, :, place], (labels == index).astype(np.int64)) for place, index in enumerate(classes)]
    if len(parts) == 2:
        parts = parts[1:]
    figure = bootstrap_figure(lambda rows, seed: float(np.mean([part(rows, seed) for part in parts])), patients)
    return MetadataShortcut(columns=columns, auc=figure, predicts=figure.low > WORTH_NAMING)


def _out_of_fold(features: NDArray[np.float64], labels: NDArray[Any], patients: list[str]) -> NDArray[np.float64]:
    """Return the probability of each class for every case, by a regression that saw none of its patient."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    predicted = np.zeros((len(labels), len(set(labels.tolist()))))
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    for train, test in folds.split(features, labels, patients):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features[train], labels[train])
        columns = np.searchsorted(sorted(set(labels.tolist())), model.classes_)
        predicted[np.ix_(test, columns)] = model.predict_proba(features[test])
    return predicted
