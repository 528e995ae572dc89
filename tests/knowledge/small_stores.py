"""Small cohorts, networks that have decided, and what they stored, for the tests of stores."""

from __future__ import annotations

import torch

from data_contracts import Case, KnowledgeRef, Ref, TrainingConfig
from medkd.cohorts.tensor_cohort import TensorCohort
from medkd.knowledge.extract import Extraction, ExtractionQuery, sample_digests
from medkd.trace import layer_map_of

FIT = TrainingConfig(epochs=1, batch_size=2, augment="none", precision="fp32")
REF = Ref(store="store", key="x", sha256="0" * 64)


def cases(n):
    return tuple(Case(case_key=f"{i:064x}", patient_key=f"{i + 99:064x}", image=REF, label=i % 2) for i in range(n))


def smooth(n, *space, seed=0):
    """Return images as scanners make them: neighbours are alike."""
    coarse = torch.randn(n, 1, *(max(2, e // 5) for e in space), generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, size=space, mode="bilinear" if len(space) == 2 else "trilinear", align_corners=False)


def pictures(make_sample, n=5):
    sample = make_sample(n)
    space = sample.image.shape[2:]
    return TensorCohort(
        cases(n),
        smooth(n, *space),
        torch.arange(n) % 2,
        sample.masks,
        torch.ones(n, dtype=torch.bool),
        torch.ones(n, *space, dtype=torch.bool),
        torch.zeros(n, dtype=torch.bool),
    )


def extract(teacher, task, cohort, store, config, *, digest="a" * 64, views=None):
    """Return the record of an extraction, as the stage writes it."""
    query = ExtractionQuery(digest, task, config, views)
    extraction = Extraction(teacher, query)
    shards = [ref for ref, _ in extraction.write(cohort, sample_digests(cohort), store, f"knowledge/{digest[:4]}", label="train")]
    maps = tuple(w.explainer for w in config.maps)
    return KnowledgeRef(
        teacher_digest=digest, task=task, config=config, views=views, cohorts=("c" * 64,), cases=len(cohort), entries=len(cohort), layers=extraction.shapes(), maps=maps,
        head_bias=extraction.head_bias(), shards=tuple(shards),
    )  # fmt: skip


def decided(network):
    """Return a network whose logits differ as a trained one's do: those of random weights are all but equal. Its head's bias counts."""
    head = network.get_submodule(layer_map_of(network).head)
    with torch.no_grad():
        head.weight *= 30
        if head.bias is not None:
            head.bias += torch.tensor([0.5, -0.5])
    return network.eval()
