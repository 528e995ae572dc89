"""Knowledge of two shards in a workspace, and the teacher that it is of."""

from __future__ import annotations

from pathlib import Path

import torch

from data_contracts import KnowledgeRef, ModelRef, Role, read_record

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden" / "knowledge_2.json"


def knowledge_in(workspace):
    """Return knowledge of two shards that lie in the workspace's store."""
    shards = tuple(workspace.store.write_tensors(f"knowledge/{n}.safetensors", {"logits": torch.full((2, 3), float(n))}) for n in range(2))
    return read_record(GOLDEN.read_bytes(), KnowledgeRef).model_copy(update={"shards": shards, "teacher": None})


def teacher_of(knowledge, version=4):
    return ModelRef(name="t", version=version, manifest_digest="a" * 64, role=Role.TEACHER, weights_digest=knowledge.teacher_digest)
