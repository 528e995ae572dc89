from __future__ import annotations

import pytest

from data_contracts import NetworkSpec, SourceError
from medkd.foreign.found_teacher import built, unsupported


def test_a_network_that_cannot_be_built_is_named_with_its_source():
    assert not built(NetworkSpec(builder="unet"), "a source").training
    for spec in (NetworkSpec(builder="nothing"), NetworkSpec(builder="unet", options={"channels": (-1, 2)})):
        with pytest.raises(SourceError, match="of a source") as caught:
            built(spec, "a source")
        assert caught.value.code == "TEACHER_UNSUPPORTED"
    assert unsupported("a", "b").code == "TEACHER_UNSUPPORTED"
