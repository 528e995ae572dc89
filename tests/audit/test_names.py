from __future__ import annotations

import pytest

from data_contracts import DataError
from medkd.audit.names import ARTEFACTS, chosen_artefacts


def test_all_artefacts_are_asked_about_where_none_is_named_and_the_order_is_the_tables():
    assert chosen_artefacts(()) == ARTEFACTS
    assert chosen_artefacts(("noise", "text")) == ("text", "noise")
    assert len(set(ARTEFACTS)) == len(ARTEFACTS) == 18


def test_an_unknown_one_is_refused_with_what_there_is():
    with pytest.raises(DataError, match=r"got 'caliper'.*calipers") as caught:
        chosen_artefacts(("caliper",))
    assert caught.value.code == "ARTEFACT_UNKNOWN"
