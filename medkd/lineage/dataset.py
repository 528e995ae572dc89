"""The data of a version as its run still holds them: the record of the split, the cohorts, the files of their cases, hashed again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from data_contracts import Cohort, CohortSet, MedkdError, Ref, TrainingManifest, read_record
from medkd.cohorts.split import TESTS
from medkd.lineage.graph import LineageNode, NodeKind, NodeState
from medkd.storage.store import sha256_file

#: Where stores of other names lie in a run: what was ingested before the recipe, and beside its cohorts.
_OTHER_STORES = ("studies", "store", "store/ingested/*")


class RunData:
    """What a run's folder holds of the data of its versions. Each file is hashed once, however many cohorts use it.

    Args:
        root: folder of the run; None where only a registry is known.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._hashes: dict[Path, str] = {}

    def nodes(self, split_digest: str, trained_on: TrainingManifest | None) -> tuple[LineageNode, ...]:
        """Return the datasets of a split and the split itself, last.

        Args:
            split_digest: of the record that says which cohort is used for what.
            trained_on: which of its cohorts the version was trained on; the tests are shown too.
        """
        name = split_digest[:12]
        split = LineageNode(NodeKind.SPLIT, name, split_digest)
        if self._root is None:
            return (replace(split, state=NodeState.UNREACHABLE, note="no run folder was named"),)
        record = self._record_of(split_digest)
        if record is None:
            return (replace(split, state=NodeState.UNREACHABLE, note="its record is not in this run"),)
        payload = record.read_bytes()
        if hashlib.sha256(payload).hexdigest() != split_digest:
            return (replace(split, state=NodeState.ALTERED, note=f"stages/{record.name}"),)
        datasets = self._datasets(read_record(payload, CohortSet), trained_on)
        return (*datasets, replace(split, parents=tuple(node.key for node in datasets), files=1))

    def _record_of(self, digest: str) -> Path | None:
        """Return the file that holds, or held when it was written, the record of a split: the digest beside it says so."""
        seals = [seal for stage in ("prepare", "synthesise") for seal in sorted((self._root or Path()).glob(f"stages/{stage}_*.sha256"))]
        for seal in seals:
            if seal.read_text(encoding="ascii", errors="replace").strip() == digest and seal.with_suffix(".json").is_file():
                return seal.with_suffix(".json")
        return None

    def _datasets(self, cohorts: CohortSet, trained_on: TrainingManifest | None) -> tuple[LineageNode, ...]:
        used: dict[Ref, list[str]] = {}
        for subset, use in cohorts.uses.items():
            if subset in TESTS or trained_on is None or use.cohort.sha256 in trained_on.cohorts:
                used.setdefault(use.cohort, []).append(subset)
        return tuple(self._dataset(ref, ", ".join(sorted(subsets))) for ref, subsets in sorted(used.items(), key=lambda item: item[1]))

    def _dataset(self, ref: Ref, subsets: str) -> LineageNode:
        node = LineageNode(NodeKind.DATASET, f"{subsets} {ref.sha256[:8]}", ref.sha256)
        state, note = self._verify((ref,))
        path = self._path(ref)
        if state is not NodeState.VERIFIED or path is None:
            return replace(node, state=state, note=note)
        try:
            cases = read_record(path.read_bytes(), Cohort).cases
        except MedkdError as error:
            return replace(node, state=NodeState.UNREACHABLE, note=str(error))
        refs = dict.fromkeys(one for case in cases for one in (case.image, case.mask) if one is not None)
        state, note = self._verify(refs)
        return replace(node, state=state, note=note, files=1 + len(refs))

    def _verify(self, refs: Iterable[Ref]) -> tuple[NodeState, str]:
        """Return what hashing references gave: what was altered counts more than what is not here."""
        missing = ""
        for ref in refs:
            path = self._path(ref)
            if path is None:
                missing = missing or f"{ref.key} of store {ref.store!r} is not in this run"
            elif self._hash(path) != ref.sha256:
                return NodeState.ALTERED, path.relative_to(self._root or Path()).as_posix()
        return (NodeState.UNREACHABLE, missing) if missing else (NodeState.VERIFIED, "")

    def _path(self, ref: Ref) -> Path | None:
        root = self._root or Path()
        folders = [root / "store"] if ref.store == "run" else [folder for pattern in _OTHER_STORES for folder in sorted(root.glob(pattern))]
        return next((folder / ref.key for folder in folders if (folder / ref.key).is_file()), None)

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = sha256_file(path)
        return self._hashes[path]
