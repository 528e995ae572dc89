"""A bundle is the same bytes each time, its scripts answer as the network, and MONAI runs it where medkd cannot be imported."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from data_contracts import CompressionError
from medkd.serving.bundle_inference import MAPS, NETWORK
from medkd.serving.export_onnx import ServedNetwork, answers_of, compare_forms, export_onnx
from medkd.serving.network import OnnxNetwork
from medkd.serving.study import ask_study
from medkd.serving.write_bundle import INFERENCE, LICENCE, METADATA, README, script_of, write_bundle
from medkd.volumes.letterbox import letterbox
from medkd.volumes.orientation import ras_affine, save_nifti
from tests.serving.bundled import bundled
from tests.serving.test_study import geometry

TURNED = ((0, 1, 0), (-1, 0, 0), (0, 0, 1))


def written(one, folder):
    for place, payload in write_bundle(one).items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(payload)
    (folder / "input").mkdir()
    return folder


def asked(one, values, where):
    """Return what medkd's own path says of a study."""
    return ask_study(values, where, OnnxNetwork(export_onnx(one.network, one.checkpoint.task).payload, one.checkpoint.task))


def smooth(shape):
    return (gaussian_filter(np.random.default_rng(0).normal(size=shape), 2) * 500).astype(np.float32)


def run_here(folder):
    """Run a bundle in this process by MONAI's parser; what `monai.bundle run` evaluates."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(folder / "configs" / "inference.json")
    parser["bundle_root"] = str(folder)
    parser.parse()
    return [parser.get_parsed_content(f"run#{place}") for place in range(len(parser.get("run")))]


@pytest.mark.parametrize("builder", ["unet", "resnet"])
def test_the_bytes_are_the_same_each_time_and_name_no_place_of_this_machine(builder):
    one = bundled(builder, test_time_flips=(2,))
    files = write_bundle(one)
    assert write_bundle(one) == files
    assert {METADATA, INFERENCE, README, LICENCE, NETWORK} <= set(files)
    assert (MAPS in files) is (builder == "resnet")
    here = str(Path(__file__).parents[2]).encode()
    assert not [place for place, payload in files.items() if here in payload or b"site-packages" in payload]
    assert b"Apache License" in files[LICENCE]


@pytest.mark.parametrize(("builder", "flips"), [("unet", ()), ("unet", (0, 2)), ("resnet", (1,))])
def test_scripts_answer_as_the_network_over_its_mirrorings(builder, flips):
    one = bundled(builder, test_time_flips=flips)
    task, served = one.checkpoint.task, ServedNetwork(one.network)
    image = torch.randn(2, 1, *task.image_size, generator=torch.Generator().manual_seed(5))
    found = [torch.jit.load(io.BytesIO(script_of(served, task, part))) for part in (0, 1)]
    with torch.no_grad():
        answers = [network(image).numpy() for network in found]
    assert max(compare_forms(answers_of(served, image, flips=flips), answers)) <= 1e-5


def test_a_network_that_cannot_be_traced_is_refused_in_a_sentence(monkeypatch):
    one = bundled("unet")

    def refuse(*given, **named):
        raise RuntimeError("cannot follow this")

    monkeypatch.setattr("medkd.serving.write_bundle.torch.jit.trace", refuse)
    with pytest.raises(CompressionError, match="cannot follow") as caught:
        write_bundle(one)
    assert caught.value.code == "FORM_NOT_EXPORTED"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "task", [{"intensity": "standardised", "spacing_mm": (1.5, 1.2, 1.3)}, {"window": (-500.0, 500.0), "overlap": 0.25}]
)
def test_volumes_are_segmented_as_medkd_segments_them(task, tmp_path):
    one, where = bundled("unet", **task), geometry((14, 40, 37), (2.0, 0.9, 1.1), TURNED)
    folder, values = written(one, tmp_path), smooth((14, 40, 37))
    save_nifti(values, ras_affine(where), folder / "input" / "a.nii.gz")
    run_here(folder)
    wanted, label = asked(one, values, where), nibabel.load(folder / "output" / "a_seg.nii.gz")
    assert np.allclose(label.affine, ras_affine(where), atol=1e-5)
    found = np.asarray(label.dataobj).transpose(2, 1, 0)
    assert len(np.unique(found)) == 3
    np.testing.assert_array_equal(found, wanted.labels)
    maps = np.asarray(nibabel.load(folder / "output" / "a_class_map.nii.gz").dataobj).transpose(3, 2, 1, 0)
    for index, margin in wanted.maps.items():
        assert np.abs(maps[index] - maps[0] - margin).max() <= 1e-4 * max(1.0, float(np.abs(margin).max()))


@pytest.mark.filterwarnings("ignore")
def test_slices_are_segmented_as_they_are_stored(tmp_path):
    one, where = bundled("unet", (32, 48), window=(-500.0, 500.0)), geometry((5, 32, 48), (3.0, 1.0, 1.0), TURNED)
    folder, values = written(one, tmp_path), smooth((5, 32, 48))
    save_nifti(values, ras_affine(where), folder / "input" / "a.nii.gz")
    run_here(folder)
    found = np.asarray(nibabel.load(folder / "output" / "a_seg.nii.gz").dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(found, asked(one, values, where).labels)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [(12, 40, 30), (30, 20, 24)])
def test_volumes_are_classified_as_medkd_classifies_them(shape, tmp_path, capsys):
    one, where = bundled("resnet", intensity="standardised"), geometry(shape, (1.0, 1.0, 1.0), TURNED)
    folder, values = written(one, tmp_path), smooth(shape)
    save_nifti(values, ras_affine(where), folder / "input" / "a.nii.gz")
    run_here(folder)
    (answer,) = json.loads((folder / "output" / "answers.json").read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == answer
    wanted = asked(one, values, where).logits[0]
    assert np.abs(np.array(answer["logits"]) - wanted).max() <= 1e-4 * max(1.0, float(np.abs(wanted).max()))
    assert answer["probabilities"].keys() == {"no", "yes"}
    assert np.load(folder / "output" / "a_class_map.npy").shape == (2, 16, 16, 24)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [(90, 61), (64, 64), (33, 120)])
def test_pictures_are_classified_as_medkd_classifies_them(shape, tmp_path):
    one = bundled("resnet", (64, 64), window=(0.0, 255.0))
    folder = written(one, tmp_path)
    grey = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(grey).save(folder / "input" / "a.png")
    run_here(folder)
    (answer,) = json.loads((folder / "output" / "answers.json").read_text())
    network = OnnxNetwork(export_onnx(one.network, one.checkpoint.task).payload, one.checkpoint.task)
    boxed = letterbox(grey, (64, 64))[0].astype(np.float32) / 127.5 - 1
    logits, maps = network.predict(boxed[None, None])
    assert np.abs(np.array(answer["logits"]) - logits[0]).max() <= 1e-4
    assert np.abs(np.load(folder / "output" / "a_class_map.npy") - maps[0]).max() <= 1e-4


BLOCKED = "import sys; sys.modules['medkd'] = sys.modules['data_contracts'] = None; import runpy; runpy.run_module('monai.bundle', run_name='__main__')"


@pytest.mark.extended
@pytest.mark.parametrize("builder", ["unet", "resnet"])
def test_monais_own_commands_run_and_verify_it_where_medkd_cannot_be_imported(builder, tmp_path):
    one, where = bundled(builder, intensity="standardised"), geometry((14, 40, 37), (2.0, 0.9, 1.1), TURNED)
    folder, values = written(one, tmp_path), smooth((14, 40, 37))
    save_nifti(values, ras_affine(where), folder / "input" / "a.nii.gz")
    # MONAI's schema is MONAI's and is downloaded where there is a network; what it requires stands in test_bundle_texts.
    (folder / "schema.json").write_text(json.dumps({"type": "object", "required": ["schema", "network_data_format", "monai_version"]}))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    both = ["--meta_file", "configs/metadata.json"]
    for command in (
        ["run", "--config_file", "configs/inference.json", "--bundle_root", "."],
        ["verify_net_in_out", "network", *both, "--config_file", "configs/inference.json", "--device", "cpu"],
        ["verify_metadata", *both, "--filepath", "schema.json"],
    ):
        done = subprocess.run([sys.executable, "-c", BLOCKED, *command], cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
    wanted = asked(one, values, where)
    if builder == "unet":
        found = np.asarray(nibabel.load(folder / "output" / "a_seg.nii.gz").dataobj).transpose(2, 1, 0)
        np.testing.assert_array_equal(found, wanted.labels)
    else:
        (answer,) = json.loads((folder / "output" / "answers.json").read_text())
        assert np.abs(np.array(answer["logits"]) - wanted.logits[0]).max() <= 1e-4
