from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from data_contracts import Task
from medkd.evaluation.class_measures import class_statistic, classified, segmented

TASK = Task(kind="classification", classes=("benign", "malignant", "Large cyst"))
TWO = Task(kind="classification", classes=("no", "yes"))
LOGITS = torch.randn(30, 3, generator=torch.Generator().manual_seed(3))
LABELS = torch.arange(30) % 3


def test_each_class_has_its_recall_and_its_probability():
    found = classified(LOGITS, LABELS, TASK)
    for index, name in enumerate(("benign", "malignant", "large_cyst")):
        own = index == LABELS
        assert found[f"recall_{name}"].isnan().tolist() == (~own).tolist()
        assert torch.equal(found[f"recall_{name}"][own] == 1, LOGITS.argmax(1)[own] == index)
        values = found[f"probability_of_{index}_{name}"]
        statistic = class_statistic(f"probability_of_{index}_{name}", values[None].numpy(), LABELS.numpy())[f"auc_{name}"]
        assert np.isclose(statistic(np.arange(30), 0), roc_auc_score(own.numpy(), LOGITS.softmax(1)[:, index].numpy()))
    assert classified(LOGITS[:, :2], LABELS % 2, TWO) == {}


def test_each_foreground_class_has_its_dice():
    masks = torch.tensor([[[0, 1, 2, 2]], [[0, 0, 1, 1]]])
    answer = torch.tensor([[[0, 1, 2, 0]], [[0, 0, 2, 1]]])
    found = segmented(answer, masks, TASK.model_copy(update={"kind": "segmentation"}))
    assert sorted(found) == ["dice_large_cyst", "dice_malignant"]
    torch.testing.assert_close(found["dice_malignant"], torch.tensor([1.0, 2 / 3]))
    torch.testing.assert_close(found["dice_large_cyst"], torch.tensor([2 / 3, 0.0]))
    assert segmented(answer, masks, TWO) == {}
