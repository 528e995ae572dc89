"""From a source to a registered teacher, whose registry alone rebuilds it."""

from __future__ import annotations

import json

import pytest
import torch

from data_contracts import ForeignSource, KnowledgeError, ModelCard, Role, SourceError, TrainingManifest, load_record
from medkd.cohorts.case_table import patient_key
from medkd.foreign.import_teacher import SOURCE, ImportRequest, import_teacher
from medkd.registry.interface import TRAINING_MANIFEST, serving_network
from medkd.registry.load_version import load_registered
from medkd.trace import has_closed_form
from tests.foreign.conftest import ARGUMENTS, monai_source, write_bundle_folder

TASK = """
task: {kind: segmentation, classes: [background, liver, tumour], image_size: [16, 16, 16], intensity: standardised}
monai: {name: SegResNet, arguments: %s}
name: from-a-paper
licence: CC-BY-4.0
patients: [P1, P2]
"""


@pytest.fixture(scope="module")
def source():
    return monai_source()


@pytest.fixture(scope="module")
def weights(tmp_path_factory, source):
    folder = tmp_path_factory.mktemp("plain")
    torch.save(source.state_dict(), folder / "net.pth")
    (folder / "task.yaml").write_text(TASK % json.dumps(ARGUMENTS))
    return folder


@pytest.fixture(scope="module")
def plain(registry, weights):
    return import_teacher(registry, ImportRequest(weights / "net.pth", description=weights / "task.yaml"))


def logits(registry, uri, image):
    model, checkpoint, network = load_registered(registry, uri)
    with torch.no_grad():
        return model, checkpoint, network(image)


def test_a_state_dict_is_rebuilt_from_the_registry_with_equal_logits(registry, plain, source):
    image = torch.randn(2, 1, 16, 16, 16)
    model, checkpoint, found = logits(registry, plain.model.uri, image)
    with torch.no_grad():
        torch.testing.assert_close(found, source(image), atol=1e-5, rtol=1e-5)
    assert (model.role, checkpoint.arm, model.name) == (Role.TEACHER, "teacher", "from-a-paper")
    assert plain.closed_form


def test_where_it_comes_from_goes_with_it(registry, plain):
    folder = registry.fetch(plain.model.uri)[1]
    kept = load_record(folder / SOURCE, ForeignSource)
    assert kept == plain.source
    assert (kept.kind, kept.licence, list(kept.files)) == ("state-dict", "CC-BY-4.0", ["net.pth"])
    assert load_record(folder / TRAINING_MANIFEST, TrainingManifest).patients == tuple(sorted(map(patient_key, ["P1", "P2"])))
    limits = " ".join(load_record(folder / "card.json", ModelCard).limits)
    assert "trained elsewhere" in limits
    assert "not measured here" in limits
    assert registry.tags(plain.model)["medkd.source"] == "state-dict"
    assert serving_network(folder) is not None


def test_the_same_source_is_the_same_version(registry, plain, weights):
    again = import_teacher(registry, ImportRequest(weights / "net.pth", "state-dict", weights / "task.yaml"))
    assert again.model == plain.model


@pytest.mark.parametrize("merged", [False, True])
def test_classes_are_mapped_within_the_network(registry, weights, source, merged):
    mapping = (
        {"background": ("background",), "lesion": ("tumour",)}
        if not merged
        else {"background": ("background",), "organ": ("liver", "tumour")}
    )
    request = ImportRequest(weights / "net.pth", description=weights / "task.yaml", class_map=mapping, name=f"mapped-{merged}".lower())
    done = import_teacher(registry, request)
    image = torch.randn(1, 1, 16, 16, 16)
    _, checkpoint, found = logits(registry, done.model.uri, image)
    with torch.no_grad():
        expected_logits = source(image)
    expected = torch.stack([expected_logits[:, 0], expected_logits[:, 1:].logsumexp(1)], 1) if merged else expected_logits[:, [0, 2]]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert checkpoint.task.classes == tuple(mapping)
    assert done.closed_form is not merged
    assert any("cannot be computed in closed form" in caveat for caveat in done.source.caveats) is merged


def test_classes_that_are_none_of_the_sources_are_refused(registry, weights):
    request = ImportRequest(weights / "net.pth", description=weights / "task.yaml", class_map={"background": ("backgruond",)})
    with pytest.raises(KnowledgeError) as caught:
        import_teacher(registry, request)
    assert caught.value.code == "CLASSES_DIFFER"


def test_a_bundle_and_an_nnunet_folder_are_recognised(registry, tmp_path, source, nnunet, answer):
    bundle = import_teacher(registry, ImportRequest(write_bundle_folder(tmp_path / "b", source)))
    assert (bundle.source.kind, bundle.model.name) == ("bundle", "liver-tumour")
    assert any("is not known" in caveat for caveat in bundle.source.caveats)
    folder = import_teacher(registry, ImportRequest(nnunet, folds=("0",)))
    assert (folder.source.kind, folder.model.name) == ("nnunet", "dataset999-blobs-3d-fullres")
    found = logits(registry, folder.model.uri, answer["patch"])[2]
    torch.testing.assert_close(found, answer["patch_logits"], atol=1e-5, rtol=0)


@pytest.mark.extended
def test_a_bundle_that_medkd_wrote_is_a_teacher_again(registry, tmp_path, plain):
    from medkd.registry.load_version import load_version
    from medkd.serving.write_bundle import BundledModel, write_bundle

    version = load_version(registry, plain.model.uri)
    bundled = BundledModel(version.model, version.checkpoint, version.card, version.network)
    for place, payload in write_bundle(bundled).items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(payload)
    again = import_teacher(registry, ImportRequest(tmp_path, name="ours-again"))
    _, checkpoint, network = load_registered(registry, again.model.uri)
    assert (checkpoint.network, checkpoint.task) == (version.checkpoint.network, version.checkpoint.task)
    image = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(network(image), version.network(image), atol=1e-5, rtol=1e-5)
    assert has_closed_form(network)


def test_what_is_no_source_and_what_is_not_said(registry, tmp_path, weights):
    (tmp_path / "empty").mkdir()
    for source, kind, code in (
        (tmp_path / "empty", "auto", "SOURCE_KIND"),
        (tmp_path / "none", "auto", "SOURCE_MISSING"),
        (weights / "net.pth", "nnunet", "SOURCE_KIND"),
        (weights / "net.pth", "auto", "TASK_MISSING"),
        (weights, "nnunet", "SOURCE_INCOMPLETE"),
    ):
        with pytest.raises(SourceError) as caught:
            import_teacher(registry, ImportRequest(source, kind))
        assert caught.value.code == code


@pytest.mark.parametrize("text", ["task: 3", "nonsense: 1", "{", "orientation: RRS", "monai: {name: 'a.b'}", "- 1"])
def test_a_description_that_is_none_is_one_sentence(registry, tmp_path, weights, text):
    (tmp_path / "task.yaml").write_text(text)
    with pytest.raises(SourceError) as caught:
        import_teacher(registry, ImportRequest(weights / "net.pth", description=tmp_path / "task.yaml"))
    assert caught.value.code == "TASK_FILE_UNREADABLE"
