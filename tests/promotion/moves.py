"""Promotions in this process, and one that ends between two writes."""

from __future__ import annotations

import pytest

from data_contracts import RegistryError
from medkd.promotion.promote import Signatory, promote_signed
from tests.promotion.promoters import POLICY

NAME = "r-kd"
PERSON = Signatory("Dr Example", "reader", "I have read the verdict.")


def to_champion(registry, model):
    return promote_signed(registry, model.uri, POLICY, to="champion", signatory=PERSON)


def code_of(call, *arguments, **options):
    with pytest.raises(RegistryError) as caught:
        call(*arguments, **options)
    return caught.value.code, str(caught.value)


class Killed(BaseException):
    """Stands for the end of a process between two writes."""


def killed_before(registry, step):
    """Let the registry end the caller before its write number ``step``, once."""
    written = [0]
    for name in ("attach", "set_alias", "set_name_tag"):
        own = getattr(registry, name)

        def call(*arguments, own=own):
            if written[0] == step:
                written[0] += 1
                raise Killed
            written[0] += 1
            return own(*arguments)

        setattr(registry, name, call)
