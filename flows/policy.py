"""What is done about findings of ingestion, as a command line says it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from data_contracts import Action, ContractError, IngestPolicy
from data_contracts.record import first_problem
from medkd.yaml_text import YamlRefused, read_yaml


def read_policy(wanted: str | None) -> IngestPolicy:
    """Return the policy of a command line: the name of one action for all codes, or a YAML file (``every``, ``actions``).

    Raises:
        ContractError: ``POLICY_UNREADABLE`` or ``POLICY_NOT_ALLOWED``.
    """
    if wanted is None:
        return IngestPolicy()
    choices = [Action.REJECT, Action.REPAIR, Action.ACCEPT_WITH_FLAG]
    if wanted in choices:
        return IngestPolicy(every=Action(wanted))
    path = Path(wanted)
    if not path.is_file():
        named = ", ".join(choice.value for choice in choices)
        raise ContractError("POLICY_UNREADABLE", f"expected one of {named}, or a YAML file, got {wanted!r}")
    try:
        # An empty file is YAML too, of nothing.
        return IngestPolicy.model_validate(read_yaml(path) or {})
    except ValidationError as error:
        raise ContractError("POLICY_UNREADABLE", f"expected a policy in {path}: {first_problem(error)}") from error
    except YamlRefused as error:
        raise ContractError("POLICY_UNREADABLE", str(error)) from error
