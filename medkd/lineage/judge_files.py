"""Which files of a run stay, and why: results of stages, what they refer to in the store, packages and bundles of versions."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data_contracts import RetentionPolicy
from data_contracts.record import PARTIAL
from medkd.lineage.judgement import Judgement, days_old
from medkd.registry.interface import VersionContents
from medkd.storage.manifest import MANIFEST
from medkd.storage.output import MARKER

#: Unfinished files of a process that still runs are younger than this.
_PARTIAL_DAYS = 1.0


@dataclass(frozen=True)
class FileRules:
    """What decides about files.

    Attributes:
        policy: what is kept.
        kept: versions that stay.
        now: seconds since 1970.
    """

    policy: RetentionPolicy
    kept: tuple[VersionContents, ...]
    now: float

    @property
    def digests(self) -> frozenset[str]:
        """Return every digest that a kept version is known by."""
        own = {digest for one in self.kept for digest in (one.model.manifest_digest, one.model.weights_digest)}
        return frozenset(own | {value for one in self.kept for value in one.tags.values() if len(value) == 64})

    def is_young(self, path: Path) -> bool:
        """Return whether a file, or anything in a folder, is younger than what is judged."""
        return days_old(path, self.now) < self.policy.keep_days


def judge_files(run: Path, rules: FileRules) -> Iterator[Judgement]:
    """Yield what is decided of each result, stored file, package, bundle and unfinished file of a run's folder."""
    results = list(_judge_results(run, rules))
    yield from results
    gone = {judged.name for judged in results if not judged.stays}
    records = [path for path in run.glob("stages/*.json") if path.name not in gone]
    referred = referred_keys(run / "store", [*records, *run.glob("*.json")])
    yield from _judge_store(run / "store", referred, rules)
    yield from _judge_packages(run, rules)
    for path in run.rglob(f"*{PARTIAL}"):
        if days_old(path, rules.now) > _PARTIAL_DAYS:
            yield Judgement(
                "unfinished file", path.relative_to(run).as_posix(), "of a process that ended", path.stat().st_size, path.unlink
            )


def referred_keys(store: Path, records: Iterable[Path]) -> frozenset[str]:
    """Return the keys of a run's store that records refer to, directly or by a record in the store.

    Records are read as plain JSON, so that those of earlier versions count too.
    """
    found: set[str] = set()
    waiting = list(records)
    while waiting:
        new = {key for key in _references(_json(waiting.pop())) if key not in found}
        found |= new
        waiting += [store / key for key in new if key.endswith(".json")]
    return frozenset(found)


def _judge_results(run: Path, rules: FileRules) -> Iterator[Judgement]:
    for path in sorted(run.glob("stages/*.json")):
        seal = path.with_suffix(".sha256")
        unusable, policy = _unusable(path, seal, run / "store"), rules.policy
        judged = partial(Judgement, "stage result", path.name, bytes=path.stat().st_size)
        if rules.is_young(path):
            yield judged(f"younger than {policy.keep_days} days")
        elif unusable:
            yield judged(f"cannot be used again: {unusable}", remove=partial(_unlink, path, seal))
        elif policy.stage_days is None or days_old(path, rules.now) < policy.stage_days:
            yield judged("can be used again")
        elif _names_one_of(path, rules.digests):
            yield judged("a kept version is made of it")
        else:
            yield judged(f"older than {policy.stage_days} days, no kept version is made of it", remove=partial(_unlink, path, seal))
    for seal in sorted(run.glob("stages/*.sha256")):
        if not seal.with_suffix(".json").exists() and not rules.is_young(seal):
            yield Judgement("stage result", seal.name, "a digest of nothing", seal.stat().st_size, partial(_unlink, seal))


def _unusable(path: Path, seal: Path, store: Path) -> str:
    """Return why a stage would run again in spite of a result; empty where it would not."""
    if not seal.is_file() or seal.read_text(encoding="ascii", errors="replace") != hashlib.sha256(path.read_bytes()).hexdigest():
        return "its digest does not fit"
    missing = next((key for key in sorted(_references(_json(path))) if not (store / key).is_file()), "")
    return f"{missing} is missing" if missing else ""


def _names_one_of(path: Path, digests: frozenset[str]) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return hashlib.sha256(path.read_bytes()).hexdigest() in digests or any(digest in text for digest in digests)


def _judge_store(store: Path, referred: frozenset[str], rules: FileRules) -> Iterator[Judgement]:
    for unit in _units(store):
        name = unit.relative_to(store).as_posix()
        judged = partial(Judgement, "stored file", name, bytes=_size(unit))
        if unit.is_dir() and (unit / MARKER).is_file():
            yield judged("a store of its own")
        elif name in referred or (unit.is_dir() and any(key.startswith(f"{name}/") for key in referred)):
            yield judged("a record refers to it")
        elif rules.is_young(unit):
            yield judged(f"younger than {rules.policy.keep_days} days")
        else:
            yield judged("no record refers to it", remove=partial(_remove, unit, store))


def _units(folder: Path) -> Iterator[Path]:
    """Yield what stays or goes as a whole: folders that have a manifest or a marker, and every other file."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink() and not ((path / MANIFEST).is_file() or (path / MARKER).is_file()):
            yield from _units(path)
        elif not path.name.startswith(".medkd-") and not path.name.endswith(PARTIAL):
            yield path


def _judge_packages(run: Path, rules: FileRules) -> Iterator[Judgement]:
    names = {f"{one.model.name}-{one.model.version}" for one in rules.kept}
    names |= {f"reports-{one.tags['medkd.reports'][:12]}" for one in rules.kept if "medkd.reports" in one.tags}
    for path in sorted([*run.glob("packages/*"), *run.glob("bundles/*.zip"), *run.glob("inspections/*.json")]):
        kind = "package" if path.is_dir() else "bundle"
        judged = partial(Judgement, kind, path.relative_to(run).as_posix(), bytes=_size(path))
        manifest = path / MANIFEST
        if path.stem in names or (manifest.is_file() and hashlib.sha256(manifest.read_bytes()).hexdigest() in rules.digests):
            yield judged("of a version that stays")
        elif rules.is_young(path):
            yield judged(f"younger than {rules.policy.keep_days} days")
        else:
            yield judged("of no version that stays", remove=partial(_remove, path, path.parent))


def _references(value: Any) -> set[str]:
    """Return the keys of all references into a run's store in plain JSON."""
    if isinstance(value, dict):
        if set(value) == {"store", "key", "sha256"}:
            return {str(value["key"])} if value["store"] == "run" else set()
        return {key for item in value.values() for key in _references(item)}
    return {key for item in value for key in _references(item)} if isinstance(value, list) else set()


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(one.stat().st_size for one in path.rglob("*") if one.is_file())


def _unlink(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _remove(path: Path, root: Path) -> None:
    """Remove a file or folder, and the folders above it that are empty then, up to ``root``."""
    if path.is_dir() and not path.is_symlink():
        (path / MANIFEST).unlink(missing_ok=True)  # first, as it was written last: half a folder is none
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == root or any(folder.iterdir()):
            return
        folder.rmdir()
