"""Properties of a registry: the shipped double and the real MLflow keep the same ones."""

from __future__ import annotations

import functools
import shutil

import pytest
import torch

from data_contracts import Checkpoint, RegistryError, Role, load_record
from medkd.models._build import build_network
from medkd.registry.interface import resolve
from medkd.registry.load_version import load_registered
from medkd.storage.store import sha256_file
from medkd.trace import frozen
from tests.registry.memory_registry import MemoryRegistry
from tests.registry.publications import NETWORK, network_publication


@pytest.fixture(params=["memory", "mlflow"])
def registry(request, tmp_path_factory, empty_database):
    if request.param == "memory":
        return MemoryRegistry()
    from medkd.registry.mlflow_registry import MlflowRegistry

    folder = tmp_path_factory.mktemp("mlflow")
    shutil.copy(empty_database, folder / "mlflow.db")
    return MlflowRegistry(f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts")


@pytest.fixture
def publish(tmp_path):
    """Return a maker of publications; each seed is another model."""
    return functools.partial(network_publication, tmp_path)


def test_versions_count_up_and_the_same_manifest_is_never_registered_twice(registry, publish):
    first, second, again = registry.register(publish(0)), registry.register(publish(1)), registry.register(publish(0))
    assert (first.version, second.version) == (1, 2)
    assert again == first
    assert first.manifest_digest != second.manifest_digest
    assert registry.versions("student") == (first, second)
    assert registry.versions("nobody") == ()


def test_what_is_fetched_is_what_was_registered(registry, publish):
    publication = publish(0, teacher="f" * 64)
    model = registry.register(publication)
    fetched, folder = registry.fetch(model.uri)
    assert fetched == model
    assert fetched.role is Role.STUDENT
    assert str(fetched.teacher) == "teacher/1@" + "f" * 64
    assert load_record(folder / "checkpoint.json", Checkpoint) == load_record(publication.folder / "checkpoint.json", Checkpoint)


def test_a_registered_network_answers_as_before(registry, publish):
    model = registry.register(publish(3))
    _, checkpoint, network = load_registered(registry, model.uri)
    image = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    original = build_network(NETWORK, seed=3)
    with frozen(original), frozen(network), torch.no_grad():
        assert torch.equal(original(image), network(image))
    assert checkpoint.seed == 3


def test_unknown_versions_and_malformed_uris_have_their_codes(registry, publish):
    registry.register(publish(0))
    for uri, code in (("models:/student/9", "VERSION_UNKNOWN"), ("models:/nobody/1", "VERSION_UNKNOWN"), ("student/1", "MODEL_URI")):
        with pytest.raises(RegistryError) as caught:
            registry.fetch(uri)
        assert caught.value.code == code


def test_a_package_that_was_altered_before_registration_is_refused(registry, publish):
    publication = publish(0)
    (publication.folder / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(RegistryError, match=r"weights\.safetensors") as caught:
        registry.register(publication)
    assert caught.value.code == "VERSION_ALTERED"


@pytest.mark.parametrize("name", ["weights.safetensors", "architecture.json", "manifest.json", "checkpoint.json"])
def test_one_flipped_byte_in_a_registered_version_is_found_and_named(registry, publish, name):
    model = registry.register(publish(0))
    held = publish(0).folder if isinstance(registry, MemoryRegistry) else registry._local
    path = next(p for p in held.rglob(name))
    payload = bytearray(path.read_bytes())
    payload[len(payload) // 2] ^= 1
    path.write_bytes(payload)
    with pytest.raises(Exception, match=name.split(".")[0]) as caught:
        registry.fetch(model.uri)
    assert getattr(caught.value, "code", "") in {"VERSION_ALTERED", "CONTRACT_INVALID", "CONTRACT_UNREADABLE", "CONTRACT_VERSION"}


def test_artefacts_can_be_put_beside_a_version(registry, publish, tmp_path):
    model = registry.register(publish(0))
    (tmp_path / "note.txt").write_text("x")
    registry.attach(model, {"explanations": tmp_path / "note.txt"}, {"medkd.explanations": "abc"})
    assert registry.fetch(model.uri)[0] == model


@pytest.mark.parametrize("name", ["extra.bin", "weights.safetensors.bak", "shards/more.safetensors", ".hidden"])
def test_a_file_that_was_added_to_a_registered_version_is_refused_and_named(registry, publish, name):
    model = registry.register(publish(0))
    held = publish(0).folder if isinstance(registry, MemoryRegistry) else next(registry._local.rglob("manifest.json")).parent
    (held / name).parent.mkdir(exist_ok=True)
    (held / name).write_bytes(b"x")
    with pytest.raises(RegistryError, match=name.replace(".", "[.]")) as caught:
        registry.fetch(model.uri)
    assert caught.value.code == "VERSION_ALTERED"


def test_a_version_that_does_not_exist_lists_those_that_do(registry, publish):
    registry.register(publish(0))
    registry.register(publish(1))
    registry.register(publish(2, name="other"))
    for uri, named in (
        ("models:/student/9", "student has the versions 1, 2"),
        ("models:/nobody/1", r"there are other \(1\), student \(1, 2\)"),
    ):
        with pytest.raises(RegistryError, match=named) as caught:
            registry.fetch(uri)
        assert caught.value.code == "VERSION_UNKNOWN"


def test_what_lies_beside_a_version_is_read_back(registry, publish, tmp_path):
    model = registry.register(publish(0))
    (tmp_path / "note.txt").write_text("x")
    registry.attach(model, {"promotion/abc": tmp_path / "note.txt"}, {"medkd.promotion.abc": "passed"})
    assert registry.fetch_attached(model.uri, "promotion/abc/note.txt").read_text() == "x"
    (tmp_path / "note.txt").write_text("y")
    registry.attach(model, {"promotion/abc": tmp_path / "note.txt"}, {})
    assert registry.fetch_attached(model.uri, "promotion/abc/note.txt").read_text() == "y"
    assert registry.fetch_attached(model.uri, "promotion/abc/other.txt") is None
    assert registry.fetch_attached(model.uri, "explanations/other.zip") is None
    assert registry.tags(model)["medkd.promotion.abc"] == "passed"
    assert registry.metrics(model)["auc"] == 0.9


def test_several_files_are_put_beside_a_version_at_once_with_what_they_are_known_by(registry, publish, tmp_path):
    model = registry.register(publish(0))
    files = [tmp_path / name for name in ("note.txt", "table.csv", "picture.zip")]
    for path in files:
        path.write_text(path.name)
    registry.attach(model, {"audit": files[:1]}, {})
    registry.attach(model, {"audit": files[1:], "reports/abc": files[0], "previews": []}, {"medkd.audit": "abc"})
    contents = registry.contents(model.uri)
    assert set(contents.attached) == {"audit/note.txt", "audit/table.csv", "audit/picture.zip", "reports/abc/note.txt"}
    for place, digest in contents.attached.items():
        there = registry.fetch_attached(model.uri, place)
        assert there.read_text() == there.name
        assert digest in ("", sha256_file(there))  # the one in memory keeps no digests
    assert contents.tags["medkd.audit"] == "abc"


def test_a_name_has_tags_of_its_own_and_one_promoter_at_a_time(registry, publish):
    model = registry.register(publish(0))
    assert registry.name_tags("nobody") == {}
    registry.set_name_tag(model.name, "medkd.promotion.000001", "{}")
    assert registry.name_tags(model.name)["medkd.promotion.000001"] == "{}"
    registry.set_name_tag(model.name, "medkd.promotion.000001", None)
    assert "medkd.promotion.000001" not in registry.name_tags(model.name)
    with registry.promotion_lock(model.name) as require_held:
        require_held()


def test_an_alias_is_resolved_to_the_version_that_it_stands_at(registry, publish):
    first, second = registry.register(publish(0)), registry.register(publish(1))
    registry.set_alias("student", "champion", 1)
    assert resolve(registry, "models:/student@champion") == first
    assert resolve(registry, second.uri) == second
    for uri in ("models:/student@nobody", "models:/student/7", "models:/nobody@champion"):
        with pytest.raises(RegistryError) as caught:
            resolve(registry, uri)
        assert caught.value.code == "VERSION_UNKNOWN"
