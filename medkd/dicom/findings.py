"""Findings and what a policy makes of them: a refusal, a repair, or a flag in the record."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from data_contracts import Action, IngestCode, IngestError, IngestPolicy


@dataclass
class Findings:
    """What was found in one object or series, resolved by the site's policy.

    Attributes:
        policy: of the site.
        flags: codes that were accepted or repaired, with their evidence.
    """

    policy: IngestPolicy
    flags: dict[IngestCode, dict[str, Any]] = field(default_factory=dict)

    def resolve(self, code: IngestCode, message: str, evidence: dict[str, Any], *, repairable: bool = True) -> Action:
        """Return ``REPAIR`` or ``ACCEPT_WITH_FLAG`` as the policy says, and keep the flag.

        Args:
            code: what was found.
            message: one sentence for the refusal.
            evidence: what was measured.
            repairable: False where this very case cannot be repaired (too much would be invented).

        Raises:
            IngestError: with the code, where the policy rejects it.
        """
        action = self.policy.action(code)
        if action is Action.REJECT or (action is Action.REPAIR and not repairable):
            raise IngestError(code, message, evidence)
        # What was found first stays: later finds of one code are mostly its consequences.
        self.flags.setdefault(code, {**evidence, "action": action.value})
        return action

    def note(self, code: IngestCode, evidence: dict[str, Any]) -> None:
        """Keep a flag without asking: something else already decided."""
        self.flags.setdefault(code, evidence)
