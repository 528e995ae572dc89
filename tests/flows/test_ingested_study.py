from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import medkd
from data_contracts import DataError, DicomData, ExplanationRequest, NetworkSpec, OutputError, Task
from flows.ingested_study import ingest_study
from medkd.cohorts.volume_cohort import bring_intensity
from medkd.dicom.ingest_cache import read_manifest
from medkd.explanation.kept import read_kept
from medkd.explanation.of_registry import replay_registered
from medkd.explanation.served_registered import explain_served_registered
from medkd.inference.further_images import read_further
from medkd.inference.predict import predict_volume
from medkd.phantom.dicom_studies import write_phantom_dicom
from medkd.registry.interface import SERVING_FOLDER
from medkd.registry.version_files import open_registry
from medkd.review.caveats import compute_caveats
from medkd.serving.served_model import ServedModel, Wanted
from medkd.storage.manifest import MANIFEST
from medkd.storage.store import Store, sha256_file
from medkd.storage.workspace import Workspace, local_workspace
from medkd.trace import frozen, layer_map_of
from medkd.volumes.intensity import array_intensity
from medkd.volumes.orientation import grid_of
from medkd.volumes.resample import align
from tests.cohorts.test_dicom_series import CHANNELS, write_study
from tests.registered import register_tiny

#: Asked for nothing where the study has one volume, or its key is given.
MODEL = "models:/nobody/1"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    _, (found,) = write_phantom_dicom(tmp_path_factory.mktemp("dicom") / "all", studies=1, faults=False)
    return found.folder


def test_a_study_is_ingested_below_the_workspace_and_its_volume_chosen(study, tmp_path):
    report, (volume,), store = ingest_study(Workspace(tmp_path / "out", "sqlite://"), study, None, None, MODEL)
    assert store == tmp_path / "out" / "store"
    assert volume.series_key in str(report.files) or volume.geometry.shape[0] > 1
    again = ingest_study(Workspace(tmp_path / "out", "sqlite://"), study, volume.series_key, None, MODEL)[1][0]
    assert again.array.sha256 == volume.array.sha256


def test_nothing_to_ask_about_and_an_output_over_the_source_are_refused(study, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        ingest_study(Workspace(tmp_path / "out", "sqlite://"), tmp_path / "empty", None, None, MODEL)
    assert caught.value.code == "NO_VOLUME"
    with pytest.raises(OutputError):
        ingest_study(Workspace(study, "sqlite://"), study, None, None, MODEL)


def marks_half(network):
    """Let an untrained network mark about half of what it sees, so that its answer depends on every image."""
    image = torch.linspace(-2, 2, 8 * 16 * 16).reshape(1, 1, 8, 16, 16)
    with frozen(network), torch.no_grad():
        first = next(one for one in network.modules() if isinstance(one, torch.nn.Conv3d))
        margin = network(image.repeat(1, first.in_channels, 1, 1, 1)).diff(dim=1)
    network.get_submodule(layer_map_of(network).head).bias.data[1] -= margin.median()


def registered(folder, **seen):
    """Register a network for each of several names, which sees the given images, and return their addresses and the registry's."""
    task = Task(kind="segmentation", classes=("background", "lesion"), image_size=(8, 16, 16), intensity="standardised")
    spec, data = NetworkSpec(builder="unet", spatial_dims=3, options={"channels": (4, 6)}), DicomData(path="s", channels=CHANNELS)
    uris = {}
    for name, images in seen.items():
        wanted = spec.model_copy(update={"in_channels": max(1, len(images))})
        uris[name] = register_tiny(folder, task.model_copy(update={"channels": images}), wanted, name=name, data=data, prepare=marks_half)
    return uris, local_workspace(folder).tracking_uri


def test_of_several_series_the_one_is_asked_about_that_the_model_is_for(tmp_path):
    write_study(tmp_path / "study", 0)
    uris, tracking = registered(tmp_path / "run", late=("t1c",), plain=())
    _, (volume,), store = ingest_study(Workspace(tmp_path / "late", tracking), tmp_path / "study", None, None, uris["late"])
    said = {one.series_key: one.acquisition for one in read_manifest(store).series}
    assert "with contrast" in said[volume.series_key]
    with pytest.raises(DataError, match="expected one series in the source, it holds 3") as caught:
        ingest_study(Workspace(tmp_path / "plain", tracking), tmp_path / "study", None, None, uris["plain"])
    assert caught.value.code == "WHICH_SERIES"
    found = medkd.load(uris["late"], tracking_uri=tracking).predict(tmp_path / "study")
    assert found.volume.series_key == volume.series_key


def test_a_model_of_several_images_is_asked_about_all_of_them_explained_and_explained_again(tmp_path):
    write_study(tmp_path / "study", 0)
    uris, tracking = registered(tmp_path / "run", both=("t2", "t1"))
    _, images, store = ingest_study(Workspace(tmp_path / "both", tracking), tmp_path / "study", None, None, uris["both"])
    said = {one.series_key: one.acquisition for one in read_manifest(store).series}
    assert [said[one.series_key].split(", ")[0] for one in images] == ["T2", "T1"]
    model = medkd.load(uris["both"], tracking_uri=tracking)
    found = model.predict(tmp_path / "study")
    # The network sees the T2 first, and the T1 read on its voxels: linear in the place, so known without any resampling.
    t2 = Store(store).read_tensors(images[0].array)["volume"].float()
    grid = grid_of(images[0].geometry)
    centres = np.moveaxis(np.indices(grid.shape), 0, -1) @ grid.affine_lps_mm[:3, :3].T + grid.affine_lps_mm[:3, 3]
    t1 = read_further(images[0], images[1:], Store(store), model.task)
    inside = np.abs(t1.values[0] - centres @ np.array([4.0, 6.0, -5.0])) < 1
    assert inside.mean() > 0.5
    alignment = align(grid, model.task)

    def marked(*seen):
        images = torch.stack([bring_intensity(alignment.to_network(one), model.task) for one in seen])
        return alignment.to_source(predict_volume(model.network, images, model.task)).argmax(0).numpy()

    assert np.array_equal(found.labels, marked(t2, *map(torch.from_numpy, t1.values)))
    assert 0.1 < found.labels.mean() < 0.9
    assert not np.array_equal(found.labels, marked(*map(torch.from_numpy, t1.values), t2))
    assert [one.code for one in found.caveats if one.code.startswith("IMAGE") or one.code.startswith("SEVERAL")] == [
        "SEVERAL_IMAGES",
        "IMAGES_OUTSIDE",
    ]
    why = model.explain(tmp_path / "study", tmp_path / "why", explainers=("grad_cam",))
    assert (why.record.volume, why.record.further) == (images[0], images[1:])
    assert "SEVERAL_IMAGES" in [one.code for one in why.record.caveats]
    assert why.record.maps
    place, same, differs = replay_registered(Workspace(tmp_path / "why", tracking), tmp_path / "why", why.record.digest()[:12])
    assert (place, same, differs) == (why.folder, True, {})


def test_a_study_without_one_of_the_images_says_which(tmp_path):
    write_study(tmp_path / "study", 0)
    shutil.rmtree(tmp_path / "study" / "three")
    uris, tracking = registered(tmp_path / "run", both=("t1", "t2"))
    with pytest.raises(DataError, match="expected a volume as t2 in the study") as caught:
        ingest_study(Workspace(tmp_path / "out", tracking), tmp_path / "study", None, None, uris["both"])
    assert caught.value.code == "CHANNEL_MISSING"


def test_a_model_that_is_asked_about_another_series_says_so_and_is_explained_again_alike(tmp_path):
    write_study(tmp_path / "study", 0)
    for other in ("one", "two", "seg.dcm"):
        place = tmp_path / "study" / other
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    uris, tracking = registered(tmp_path / "run", late=("t1c",))
    model = medkd.load(uris["late"], tracking_uri=tracking)
    (said,) = [one.text for one in model.predict(tmp_path / "study").caveats if one.code == "SERIES_OTHER"]
    assert "the model is for t1, With Contrast as t1c, it was asked about another series (MR" in said
    assert "T2" in said
    why = model.explain(tmp_path / "study", tmp_path / "why", explainers=("grad_cam",))
    assert [one.text for one in why.record.caveats if one.code == "SERIES_OTHER"] == [said]
    assert compute_caveats((why.record,))[0].code == "SERIES_OTHER"
    assert replay_registered(Workspace(tmp_path / "why", tracking), tmp_path / "why", why.record.digest()[:12])[1:] == (True, {})


def test_a_version_of_several_images_is_asked_without_torch_and_by_whoever_loads_it(tmp_path):
    write_study(tmp_path / "study", 0)
    uris, tracking = registered(tmp_path / "run", both=("t2", "t1"))
    workspace = Workspace(tmp_path / "both", tracking)
    _, images, store = ingest_study(workspace, tmp_path / "study", None, None, uris["both"])
    place = explain_served_registered(workspace, images, store, uris["both"], ExplanationRequest(explainers=()), tmp_path / "both", "onnx")
    record, arrays = read_kept(place)
    wanted = medkd.load(uris["both"], tracking_uri=tracking).predict(tmp_path / "study").labels
    assert (arrays["segmentation/student"] == wanted).mean() > 0.999
    assert record.further == images[1:]
    assert "SEVERAL_IMAGES" in [one.code for one in record.caveats]
    served = served_model(tracking, uris["both"])
    rows = served.answer_study(str(tmp_path / "study"), Wanted(out=str(tmp_path / "out")))
    assert {row["code"] for row in rows} == {None}
    assert len(rows) == len(record.lesions) > 0
    assert all("SEVERAL_IMAGES" in row["caveats"] for row in rows)
    assert rows[0]["volume_ml"] == pytest.approx(record.lesions[0].volume_ml, rel=0.02)
    shutil.rmtree(tmp_path / "study" / "one")
    (row,) = [row for row in served.answer_study(str(tmp_path / "study"), Wanted()) if row["code"]]
    assert (row["code"], "expected a volume as t1" in row["message"]) == ("CHANNEL_MISSING", True)
    raw = np.random.default_rng(0).normal(5, 9, size=(2, 8, 16, 16)).astype(np.float32)
    seen = np.stack([array_intensity(channel, served.checkpoint.task) for channel in raw])
    answers = [served.answer_tensors([one], wanted)["logits"] for one, wanted in ((raw, Wanted(intensity="raw")), (seen, Wanted()))]
    assert np.array_equal(*answers)
    with pytest.raises(DataError, match=r"expected images \[2, \*space\]"):
        served.answer_tensors([raw[:1]], Wanted())


def served_model(tracking, uri):
    """Return a version as whoever loads it opens it."""
    registry = open_registry(Workspace(Path("unused"), tracking))
    model, package = registry.fetch(uri)
    serving = package.with_name(SERVING_FOLDER)
    digests = {"manifest_digest": model.manifest_digest, "serving_digest": sha256_file(serving / MANIFEST)}
    return ServedModel(package, serving, **digests, name=model.name)
