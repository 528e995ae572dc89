"""How versions are named, and what an implementation has; what every registry keeps is asked of each in test_registry.py."""

from __future__ import annotations

import inspect

import pytest

from data_contracts import RegistryError
from medkd.registry.interface import Registry, parse_uri, unknown_version
from medkd.registry.mlflow_registry import MlflowRegistry
from tests.registry.memory_registry import MemoryRegistry


def test_a_uri_names_a_model_and_a_version_or_an_alias():
    assert parse_uri("models:/a-b/12") == ("a-b", 12, None)
    assert parse_uri("models:/a-b@champion") == ("a-b", None, "champion")
    assert parse_uri("models:/a@b@champion") == ("a@b", None, "champion")


@pytest.mark.parametrize(
    "bad",
    [
        "models:/a",
        "models:/a/latest",
        "models://3",
        "a/3",
        "models:/@champion",
        "models:/a@",
        "models:/a/-1",
        "models:/a/٣",
        "models:/a/1234567890",
    ],
)
def test_what_is_no_uri_is_refused_and_shown(bad):
    with pytest.raises(RegistryError) as caught:
        parse_uri(bad)
    assert caught.value.code == "MODEL_URI"
    assert str(caught.value).endswith(f"got {bad!r}")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "none is registered here"),
        ({"net": ()}, "none is registered here"),
        ({"net": (3, 1), "other": (1,)}, "net has the versions 1, 3"),
        ({"b": (2, 1), "a": (1,)}, "no net is; there are a (1), b (1, 2)"),
        ({f"n{place:02}": (1,) for place in range(23)}, "n19 (1) and 3 more names"),
    ],
)
def test_an_unknown_version_is_said_with_those_that_there_are(known, said):
    error = unknown_version("models:/net/9", known)
    assert error.code == "VERSION_UNKNOWN"
    assert "models:/net/9 does not exist" in str(error)
    assert str(error).endswith(said)


@pytest.mark.parametrize("kind", [MemoryRegistry, MlflowRegistry])
def test_an_implementation_takes_what_the_protocol_says(kind):
    asked = {name: inspect.signature(member) for name, member in vars(Registry).items() if inspect.isfunction(member) and name[0] != "_"}
    assert {"register", "fetch", "attach"} <= set(asked)
    for name, signature in asked.items():
        assert inspect.signature(getattr(kind, name)).parameters.keys() == signature.parameters.keys(), name
