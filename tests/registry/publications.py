"""Packages of tiny networks, ready to be registered."""

from __future__ import annotations

import hashlib

from safetensors.torch import save

from data_contracts import Checkpoint, NetworkSpec, Ref, Role, Task
from medkd.models._build import build_network, parameter_count
from medkd.registry.interface import Publication
from medkd.storage.manifest import pack_model

NETWORK = NetworkSpec(builder="resnet", options={"channels": (4, 4, 4, 4)})


def network_publication(folder, seed=0, name="student", teacher=None, files=None):
    """Return the publication of a network; each seed is another model.

    ``teacher`` is the digest of a teacher's weights, or the lineage of its version; ``files`` go into the package too.
    """
    network = build_network(NETWORK, seed=seed)
    weights = save({key: value.contiguous() for key, value in network.state_dict().items()})
    digest = hashlib.sha256(weights).hexdigest()
    checkpoint = Checkpoint(
        role=Role.STUDENT if teacher else Role.TEACHER, arm="kd", seed=seed, network=NETWORK,
        task=Task(kind="classification", classes=("a", "b")), weights=Ref(store="run", key="w", sha256=digest), weights_digest=digest,
        cohort_digest="c", recipe_digest="0" * 64, teacher_digest=None if teacher is None else str(teacher)[-64:],
        parameters=parameter_count(network), epochs=1,
    )  # fmt: skip
    package = folder / f"{name}-{seed}"
    pack_model(
        package,
        {"weights.safetensors": weights, "checkpoint.json": checkpoint.canonical_json(), "architecture.json": b'{"a": 1}', **(files or {})},
    )
    lineage = f"teacher/1@{teacher}" if isinstance(teacher, str) else teacher
    return Publication(
        name=name,
        folder=package,
        role=checkpoint.role,
        weights_digest=digest,
        seed=seed,
        tags={"medkd.arm": "kd", **({"medkd.teacher": str(lineage)} if teacher else {})},
        params={"arm": "kd"},
        metrics={"auc": 0.9},
        history=({"epoch": 1, "loss": 2.0},),
    )


def publication_without_weights(folder):
    """Return the publication of a checkpoint's record alone, with a history of two epochs."""
    digest = "a" * 64
    checkpoint = Checkpoint(
        role=Role.TEACHER, arm="teacher", seed=0, network=NetworkSpec(builder="resnet"), task=Task(kind="classification", classes=("a", "b")),
        weights=Ref(store="run", key="w", sha256=digest), weights_digest=digest, cohort_digest="c", recipe_digest=digest, parameters=1, epochs=2,
    )  # fmt: skip
    pack_model(folder / "package", {"checkpoint.json": checkpoint.canonical_json()})
    history = ({"epoch": 1, "loss": 2.0, "seconds": 0.1}, {"epoch": 2, "loss": 1.0, "seconds": 0.1})
    tags, params, metrics = {"medkd.cohort_digest": "c"}, {"recipe": "r"}, {"auc": 0.75}
    return Publication("net", folder / "package", Role.TEACHER, digest, 0, tags, params, metrics, history)
