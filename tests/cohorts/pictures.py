"""A cohort of invented pictures in a store, as importers leave one."""

from __future__ import annotations

import torch

from data_contracts import Case, Cohort, CohortSet, CohortUse, Part, Ref, Split, Task

TASK = Task(kind="classification", classes=("benign", "malignant"), image_size=(4, 4), window=(0.0, 255.0))


def stored_cohort(store, tensors, *, patients=("p0", "p1", "p2"), labels=(0, 1, None), masked=(True, True, False)):
    """Write one shard of three cases, the last of them for the test, and return the use of each part.

    Args:
        store: where it goes.
        tensors: of the shard, beside or instead of images [3, 4, 4] that hold 0, 1, 2.
        patients: whose cases they are.
        labels: their classes.
        masked: whether they have a mask.
    """
    images = torch.arange(3.0).view(3, 1, 1).expand(3, 4, 4)
    shard = store.write_tensors("cohorts/x.safetensors", {"images": images, **tensors})
    cases = tuple(
        Case(case_key=f"c{n}", patient_key=patients[n], image=shard, mask=shard if masked[n] else None, label=labels[n]) for n in range(3)
    )
    split = Split(parts={Part.TRAIN: ("c0", "c1"), Part.TEST: ("c2",)})
    cohort = Cohort(name="x", origin="test", classes=TASK.classes, cases=cases, split=split)
    path = cohort.write(store.root / "cohorts" / "x.json")
    ref = Ref(store=store.name, key="cohorts/x.json", sha256=store.refer("cohorts/x.json").sha256)
    assert path.is_file()
    return {part: CohortUse(cohort=ref, part=part) for part in Part}


def cohort_set(uses):
    """Return the set of a run that trains on one part and tests on the other."""
    return CohortSet(uses={"student_train/0": uses[Part.TRAIN], "test": uses[Part.TEST]}, certificates=())
