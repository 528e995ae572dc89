"""An alias moved to a version: candidate by anybody, champion by a verdict that passed and a person who signs it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from data_contracts import ModelRef, PromotionEvent, PromotionPolicy, PromotionVerdict, RegistryError, SignOff, read_record
from medkd.promotion.check_promotion import (
    CANDIDATE,
    CHAMPION,
    PLACE,
    TAG,
    VERDICT,
    check_promotion,
    judge,
    keep_sign_off,
    keep_verdict,
)
from medkd.promotion.history import carry_out, finish_pending, record_event
from medkd.promotion.verdict_text import refusal
from medkd.registry.interface import Registry, resolve


@dataclass(frozen=True)
class Promotion:
    """What a promotion came to.

    Attributes:
        model: the version.
        alias: that stands at it now.
        verdict: of its checks; None of a champion that was set by hand.
        event: of the history; None of a candidate.
        changed: whether an alias was moved; a promotion that is repeated changes nothing.
    """

    model: ModelRef
    alias: str
    verdict: PromotionVerdict | None
    event: PromotionEvent | None
    changed: bool


@dataclass(frozen=True)
class Signatory:
    """Who answers for a promotion.

    Attributes:
        name: of the person.
        role: in which capacity.
        statement: what the person states.
    """

    name: str
    role: str
    statement: str

    def sign(self, verdict: PromotionVerdict) -> SignOff:
        """Return the signature under a verdict, at this moment."""
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        return SignOff(signed_by=self.name, role=self.role, statement=self.statement, verdict_digest=verdict.digest(), signed_at=now)


def promote(
    registry: Registry,
    uri: str,
    policy: PromotionPolicy,
    *,
    to: Literal["candidate", "champion"] = "candidate",
    sign_off: SignOff | None = None,
) -> Promotion:
    """Check a version and move an alias to it: verdict, tags, ``previous``, ``champion``, in this order, read back, under a lock.

    A promoter that is killed loses nothing: whoever comes next finishes what was written. The same call again changes nothing.

    Args:
        registry: that holds the version.
        uri: ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``.
        policy: what is asked. A candidate may fail it: the verdict is kept, and says so.
        to: the alias.
        sign_off: signature under the verdict (:func:`medkd.promotion.check_promotion.check_promotion`), for the champion.

    Raises:
        RegistryError: ``PROMOTION_REFUSED`` with the checks that fail and their figures; ``PROMOTION_UNSIGNED`` without a signature, or with
            one under another verdict; ``PROMOTION_BUSY``, ``PROMOTION_LOCK_LOST``, ``ALIAS_MOVED`` when others move aliases.
    """
    model = resolve(registry, uri)
    if to == CANDIDATE:
        verdict = check_promotion(registry, model.uri, policy)
        return Promotion(model, CANDIDATE, verdict, None, changed=move_candidate(registry, model))
    with registry.promotion_lock(model.name) as require_held:
        events = finish_pending(registry, model.name, require_held)
        before = registry.aliases(model.name).get(CHAMPION)
        if before == model.version:
            return _standing(registry, model, events)
        verdict = keep_verdict(registry, model, judge(registry, model, policy))
        keep_sign_off(registry, model, verdict, _require_signed(model, verdict, sign_off))
        event = PromotionEvent(
            number=len(events) + 1, kind="promotion", version=model.version, before=before, previous=before, verdict=verdict.id
        )
        record_event(registry, model.name, event)
        return Promotion(model, CHAMPION, verdict, carry_out(registry, model.name, event, require_held), changed=True)


def promote_signed(
    registry: Registry, uri: str, policy: PromotionPolicy, *, to: Literal["candidate", "champion"], signatory: Signatory | None
) -> Promotion:
    """Check a version, sign the verdict and promote it; where the champion changes in between, the signature is under another verdict.

    Raises:
        RegistryError: as :func:`promote`.
    """
    model = resolve(registry, uri)
    if to == CANDIDATE or signatory is None or registry.aliases(model.name).get(CHAMPION) == model.version:
        return promote(registry, model.uri, policy, to=to)
    verdict = check_promotion(registry, model.uri, policy)
    return promote(registry, model.uri, policy, to=to, sign_off=signatory.sign(verdict))


def move_candidate(registry: Registry, model: ModelRef) -> bool:
    """Let ``candidate`` stand at a version and return whether it moved; nothing is checked.

    Raises:
        RegistryError: ``ALIAS_MOVED`` when it stands elsewhere after it was moved.
    """
    with registry.promotion_lock(model.name) as require_held:
        if registry.aliases(model.name).get(CANDIDATE) == model.version:
            return False
        require_held()
        registry.set_alias(model.name, CANDIDATE, model.version)
        found = registry.aliases(model.name).get(CANDIDATE)
    if found != model.version:
        raise RegistryError("ALIAS_MOVED", f"expected {CANDIDATE} of {model.name} at {model.version}, it is at {found}; promote again")
    return True


def _require_signed(model: ModelRef, verdict: PromotionVerdict, sign_off: SignOff | None) -> SignOff:
    if not verdict.passed:
        raise RegistryError("PROMOTION_REFUSED", refusal(verdict))
    if sign_off is None:
        raise RegistryError(
            "PROMOTION_UNSIGNED",
            f"expected a signature under the verdict {verdict.id}, which passed, got none for {model.uri}; read it and sign with --signed-by, "
            "--role and --statement",
        )
    if sign_off.verdict_digest != verdict.digest():
        raise RegistryError(
            "PROMOTION_UNSIGNED",
            f"expected a signature under the verdict {verdict.digest()[:12]} of {model.uri}, got one under {sign_off.verdict_digest[:12]}: "
            "the champion, the policy or the explanations changed; read the new verdict and sign it",
        )
    return sign_off


def _standing(registry: Registry, model: ModelRef, events: tuple[PromotionEvent, ...]) -> Promotion:
    """Return the promotion that made a version the champion."""
    event = next((one for one in reversed(events) if one.version == model.version and one.verdict), None)
    path = None if event is None else registry.fetch_attached(model.uri, f"{PLACE}/{event.verdict}/{VERDICT}")
    verdict = None if path is None else read_record(path.read_bytes(), PromotionVerdict)
    return Promotion(model, CHAMPION, verdict, event, changed=False)


def verdicts_of(registry: Registry, model: ModelRef) -> dict[str, str]:
    """Return ``passed`` or ``refused`` by the id of each verdict beside a version."""
    found = {key.removeprefix(f"{TAG}."): text.split()[0] for key, text in registry.tags(model).items() if key.startswith(f"{TAG}.")}
    return {short: outcome for short, outcome in sorted(found.items()) if "." not in short}
