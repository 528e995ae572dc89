"""A registered version put to every check of a promotion policy; the verdict is kept beside the version, and equal inputs are checked once."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import medkd
from data_contracts import (
    ContractError,
    Lineage,
    ModelRef,
    PromotionCheck,
    PromotionPolicy,
    PromotionVerdict,
    RegistryError,
    Role,
    SignOff,
    read_record,
)
from medkd.promotion.check_calibration import check_calibration
from medkd.promotion.check_compression import check_compression
from medkd.promotion.check_controls import CONTROL, check_controls
from medkd.promotion.check_cost import check_cost
from medkd.promotion.check_losses import check_losses
from medkd.promotion.check_maps import check_agreement, check_evidence, check_faithfulness, check_randomisation
from medkd.promotion.check_provenance import altered, check_integrity, check_leakage, check_lineage
from medkd.promotion.check_shortcuts import check_shortcuts
from medkd.promotion.check_task import check_subgroups, check_task
from medkd.promotion.checks import Check, PromotionSetting
from medkd.promotion.verdict_text import verdict_markdown
from medkd.promotion.version_records import VersionRecords, read_version
from medkd.registry.interface import Registry, resolve
from medkd.storage.store import write_bytes

#: Aliases of a registered name: what is considered, what is used, and what was used before.
CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
#: What a tag of a version (``TAG.ID``) and a folder of artefacts beside it (``PLACE/ID``) begin with.
TAG, PLACE = "medkd.promotion", "promotion"
VERDICT, TABLE, SIGN_OFF = "verdict.json", "verdict.md", "sign_off.json"

#: The checks that need nothing but the records, in the order of the table.
_CHECKS: tuple[Callable[[PromotionSetting], Check], ...] = (
    check_task,
    check_subgroups,
    check_evidence,
    check_agreement,
    check_faithfulness,
    check_randomisation,
    check_losses,
    check_calibration,
    check_controls,
    check_cost,
    check_compression,
    check_shortcuts,
    check_integrity,
    check_leakage,
)


def check_promotion(registry: Registry, uri: str, policy: PromotionPolicy) -> PromotionVerdict:
    """Put a version to a policy, compared with the champion of its name, or with its teacher where there is none.

    The verdict lies beside the version before it is returned: ``promotion/ID/verdict.json`` and ``verdict.md``, and a tag of the id.

    Args:
        registry: that holds the version.
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        policy: what is asked.

    Raises:
        RegistryError: ``VERSION_UNKNOWN``; ``PROMOTION_BUSY``; ``PROMOTION_KNOWLEDGE`` for what answers nothing.
    """
    model = resolve(registry, uri)
    verdict = judge(registry, model, policy)
    with registry.promotion_lock(model.name):
        return keep_verdict(registry, model, verdict)


def judge(registry: Registry, model: ModelRef, policy: PromotionPolicy) -> PromotionVerdict:
    """Return the verdict that is kept for these inputs, or a new one, which is not kept yet.

    Raises:
        RegistryError: ``PROMOTION_KNOWLEDGE``.
    """
    if model.role is Role.KNOWLEDGE:
        raise RegistryError("PROMOTION_KNOWLEDGE", f"expected a network, {model.uri} is knowledge; promote a student that learned from it")
    try:
        setting = open_setting(registry, model, policy)
    except RegistryError as error:
        if error.code != "VERSION_ALTERED":
            raise
        return _verdict(model, policy, None, "none", (altered(error),), [str(error)])
    compared = None if setting.reference is None else setting.reference.model.lineage
    inputs = [str(compared), setting.role, setting.absent, setting.subject.bundle_digest]
    if setting.subject.origin:
        inputs += [setting.subject.origin, "" if setting.subject.compression is None else setting.subject.compression.digest()]
    if setting.subject.audit_digest:
        # Only of a version that was audited: verdicts from before keep their ids.
        inputs.append(setting.subject.audit_digest)
    inputs += [str(control.model.lineage) for _, control in sorted(setting.controls.items())]
    kept = kept_verdict(registry, model, _inputs_digest(model, policy, inputs))
    return kept or _verdict(model, policy, compared, setting.role, tuple(_checks(setting, registry)), inputs)


def _checks(setting: PromotionSetting, registry: Registry) -> Iterator[PromotionCheck]:
    for check in _CHECKS:
        yield from check(setting)
    yield from check_lineage(setting, registry)


def _verdict(
    model: ModelRef,
    policy: PromotionPolicy,
    compared: Lineage | None,
    role: Literal["champion", "teacher", "none"],
    checks: tuple[PromotionCheck, ...],
    inputs: list[str],
) -> PromotionVerdict:
    return PromotionVerdict(
        subject=model.lineage,
        compared_with=compared,
        compared_role=role,
        policy=policy.name,
        policy_digest=policy.digest(),
        inputs_digest=_inputs_digest(model, policy, inputs),
        checks=checks,
        passed=not any(check.refuses for check in checks),
    )


def _inputs_digest(model: ModelRef, policy: PromotionPolicy, inputs: list[str]) -> str:
    # The version of medkd is part of it: another one may check otherwise.
    return hashlib.sha256(json.dumps([str(model.lineage), policy.digest(), medkd.__version__, *inputs]).encode()).hexdigest()


def open_setting(registry: Registry, model: ModelRef, policy: PromotionPolicy) -> PromotionSetting:
    """Return a version with what it is compared with: the champion, else its teacher; and its controls.

    Raises:
        RegistryError: ``VERSION_ALTERED`` when the version itself is altered.
    """
    subject = read_version(registry, model.uri)
    controls = {name: _newest(registry, name) for name in registry.names() if name.startswith(f"{model.name}{CONTROL}")}
    champion = registry.aliases(model.name).get(CHAMPION)
    role: Literal["champion", "teacher"]
    if champion is not None and champion != model.version:
        uri, role = f"models:/{model.name}/{champion}", "champion"
    elif model.teacher is not None:
        uri, role = model.teacher.uri, "teacher"
    else:
        return PromotionSetting(policy, subject, controls=controls, absent="there is neither a champion nor a teacher to compare with")
    reference, problem = _comparable(registry, uri)
    absent = f"the {role} {uri} cannot be read: {problem}" if reference is None else ""
    return PromotionSetting(policy, subject, reference, role, controls, absent)


def _comparable(registry: Registry, uri: str) -> tuple[VersionRecords | None, str]:
    """Return a version to compare with, or why it cannot be read: then nothing is compared, and the verdict says so."""
    try:
        return read_version(registry, uri), ""
    except (RegistryError, ContractError) as error:
        return None, str(error)


def _newest(registry: Registry, name: str) -> VersionRecords:
    return read_version(registry, registry.versions(name)[-1].uri)


def kept_verdict(registry: Registry, model: ModelRef, inputs_digest: str) -> PromotionVerdict | None:
    """Return the verdict that lies beside a version, whole; None where there is none, or one that was cut short."""
    short = inputs_digest[:12]
    tag = registry.tags(model).get(f"{TAG}.{short}", "")
    path = registry.fetch_attached(model.uri, f"{PLACE}/{short}/{VERDICT}") if tag else None
    if path is None:
        return None
    try:
        verdict = read_record(path.read_bytes(), PromotionVerdict)
    except ContractError:
        return None
    return verdict if verdict.digest() == tag.split()[-1] and verdict.inputs_digest == inputs_digest else None


def keep_verdict(registry: Registry, model: ModelRef, verdict: PromotionVerdict) -> PromotionVerdict:
    """Put a verdict beside its version, the tag last, and return the one that lies there: by now another promoter may have made it.

    Whoever calls holds the promotion lock of the name.
    """
    kept = kept_verdict(registry, model, verdict.inputs_digest)
    if kept is not None:
        return kept
    files = {VERDICT: verdict.canonical_json(), TABLE: verdict_markdown(verdict).encode()}
    tags = {f"{TAG}.{verdict.id}": f"{'passed' if verdict.passed else 'refused'} {verdict.digest()}"}
    attach_texts(registry, model, verdict.id, files, tags)
    return verdict


def keep_sign_off(registry: Registry, model: ModelRef, verdict: PromotionVerdict, sign_off: SignOff) -> None:
    """Put a signature beside the verdict that it is of."""
    tags = {f"{TAG}.{verdict.id}.sign_off": sign_off.digest()}
    attach_texts(registry, model, verdict.id, {SIGN_OFF: sign_off.canonical_json()}, tags)


def attach_texts(registry: Registry, model: ModelRef, short: str, files: dict[str, bytes], tags: dict[str, str]) -> None:
    """Put small files into the folder of a verdict, then set tags."""
    with tempfile.TemporaryDirectory(prefix="medkd-promotion-") as scratch:
        paths = [write_bytes(Path(scratch) / name, payload) for name, payload in files.items()]
        registry.attach(model, {f"{PLACE}/{short}": paths}, tags)
