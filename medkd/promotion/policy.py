"""The promotion policy as a YAML file."""

from __future__ import annotations

from pathlib import Path

from data_contracts import PromotionPolicy, RegistryError
from data_contracts.record import migrated
from medkd.training.form_mistakes import record_mistakes
from medkd.training.mistake import FieldPath
from medkd.yaml_text import YamlRefused, read_yaml, yaml_lines

DEFAULT_POLICY = Path(__file__).with_name("default_policy.yaml")


def read_policy(path: Path | None = None) -> PromotionPolicy:
    """Return a promotion policy; the shipped default without a file.

    Raises:
        RegistryError: ``POLICY_MISSING``, ``POLICY_UNREADABLE``, or ``POLICY_INVALID`` with file, line and field of the first mistake and how
            many more there are.
    """
    path = path or DEFAULT_POLICY
    if not path.is_file():
        raise RegistryError("POLICY_MISSING", f"expected a promotion policy at {path}, found no file")
    try:
        payload = read_yaml(path)
    except YamlRefused as error:
        raise RegistryError("POLICY_UNREADABLE", str(error)) from error
    if not isinstance(payload, dict):
        raise RegistryError("POLICY_UNREADABLE", f"expected a mapping of policy fields in {path.name}, got {type(payload).__name__}")
    payload = migrated(payload)
    mistakes = list(record_mistakes(PromotionPolicy, payload))
    if mistakes:
        (place, sentence), more = mistakes[0], len(mistakes) - 1
        rest = f"; and {more} more mistake{'s' * (more > 1)}" if more else ""
        raise RegistryError("POLICY_INVALID", f"{sentence} ({_where(path, place)}){rest}")
    return PromotionPolicy.model_validate(payload)


def _where(path: Path, place: FieldPath) -> str:
    """Say file, line and field, as editors and terminals link it; the line of what holds a value that is not there."""
    lines = yaml_lines(path)
    line = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), None)
    return f"{path.name}{f':{line}' if line else ''} {'.'.join(map(str, place))}".strip()
