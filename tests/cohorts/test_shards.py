from __future__ import annotations

import numpy as np
import pytest
import torch

from data_contracts import Case, Geometry
from medkd.cohorts.shards import read_volume
from medkd.storage.store import Store

SHAPE = (3, 4, 5)
AFFINE = torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64))


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "run")


def test_an_imported_case_lies_in_one_file(store):
    label = torch.ones(SHAPE, dtype=torch.uint8)
    ref = store.write_tensors("a", {"image": torch.full(SHAPE, 0.5), "affine_lps_mm": AFFINE, "label": label, "synthetic": label.clone()})
    shard = read_volume(Case(case_key="c", patient_key="p", image=ref, mask=ref), store)
    assert float(shard.image.mean()) == 0.5
    assert torch.equal(shard.affine_lps_mm, AFFINE)
    assert torch.equal(shard.label, label)
    assert torch.equal(shard.synthetic, label)


def test_an_ingested_case_lies_where_it_was_ingested_and_its_label_beside_the_cohort(store):
    values, label = torch.full(SHAPE, -7, dtype=torch.int16), torch.ones(SHAPE, dtype=torch.uint8)
    matrix = tuple(map(tuple, np.diag([4.0, 3.0, 2.0, 1.0]).tolist()))
    geometry = Geometry(shape=SHAPE, affine_lps_mm=matrix, spacing_mm=(4.0, 3.0, 2.0), residual_mm=0.0)
    volume, mask = store.write_tensors("v", {"volume": values, "label": 2 * label}), store.write_tensors("m", {"label": label})
    shard = read_volume(Case(case_key="c", patient_key="p", image=volume, mask=mask, geometry=geometry), store)
    assert (shard.image.dtype, float(shard.image.min())) == (torch.float32, -7.0)
    assert torch.equal(shard.affine_lps_mm, AFFINE)
    assert torch.equal(shard.label, label)
    assert shard.synthetic is None


def test_a_case_without_a_label_is_background_everywhere(store):
    ref = store.write_tensors("a", {"image": torch.zeros(SHAPE), "affine_lps_mm": AFFINE})
    label = read_volume(Case(case_key="c", patient_key="p", image=ref), store).label
    assert (label.shape, label.dtype, bool(label.any())) == (SHAPE, torch.uint8, False)
