"""The inference configuration of a MONAI Bundle: what `monai.bundle run` does, by MONAI, torch and PIL alone.

It says in MONAI's transforms what :mod:`medkd.serving.study` does with a study: axes to the patient's, spacing, intensities, windows with
Gaussian weights, logits (not labels) brought back to the voxels of the file. Where MONAI has no transform for it, an expression says it:
MONAI's ``Spacing`` rounds the number of voxels where medkd cuts, and its inferer fills up with a number that is fixed beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_contracts import Task, TaskKind
from medkd.volumes.alignment import SAME_SPACING
from medkd.volumes.intensity import CLIP_PERCENTILES

Config = dict[str, Any]
#: Files of a bundle that the configuration names.
NETWORK, MAPS, ANSWERS = "models/model.ts", "models/class_map.ts", "answers.json"
_PICTURES = "('.png', '.jpg', '.jpeg')"
_VOLUMES = "('.nii', '.nii.gz')"


def inference_config(task: Task, head_bias: Sequence[float] | None, *, has_maps: bool) -> Config:
    """Return the configuration.

    Args:
        task: of the network.
        head_bias: of a 1x1 head, whose logits less it are the class maps; None of a network that classifies.
        has_maps: whether class maps are written.
    """
    segments = task.kind is TaskKind.SEGMENTATION
    steps = _volume(task) if task.spatial_dims == 3 else _slices(task) if segments else _pictures(task)
    return {
        "imports": [
            "$import json",
            "$import pathlib",
            "$import nibabel",
            "$import numpy as np",
            "$import torch",
            "$import monai",
            "$from PIL import Image",
        ],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/input'",
        "output_dir": "$@bundle_root + '/output'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "class_names": list(task.classes),
        "datalist": f"$sorted(str(path) for path in pathlib.Path(@dataset_dir).iterdir() if path.name.endswith({steps.pop('suffixes')}))",
        "network_def": f"$torch.jit.load(@bundle_root + '/{NETWORK}', map_location=@device)",
        "network": "$@network_def.eval()",
        **({"head_bias": [float(value) for value in head_bias]} if head_bias is not None else {}),
        **steps,
        "dataset": {"_target_": "Dataset", "data": "$[{'image': path, 'name': path} for path in @datalist]", "transform": "@preprocessing"},
        **(_segmentation(has_maps=has_maps) if segments else _classification(has_maps=has_maps)),
    }


def _load() -> list[Config]:
    return [
        {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader", "image_only": True},
        {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": "no_channel"},
        {"_target_": "CopyItemsd", "keys": "image", "names": "original"},
    ]


def _intensity(task: Task) -> list[Config]:
    if task.intensity == "window":
        low, high = task.window
        scale = {
            "_target_": "ScaleIntensityRanged",
            "keys": "image",
            "a_min": low,
            "a_max": high,
            "b_min": -1.0,
            "b_max": 1.0,
            "clip": True,
        }
        return [scale]
    if task.intensity == "z_score":
        box = "(lambda places: image[(slice(None), *[slice(int(a.min()), int(a.max()) + 1) for a in places.T])] if len(places) else image)(torch.nonzero(torch.as_tensor(image[0]) != 0))"
        scaled = (
            f"$lambda image: (lambda box: (image - float(box.double().mean())) / max(float(box.double().std(unbiased=False)), 1e-8))({box})"
        )
        return [{"_target_": "Lambdad", "keys": "image", "func": scaled}]
    lower, upper = CLIP_PERCENTILES
    return [
        # No sharpness: values beyond the percentiles become the percentiles.
        {"_target_": "ClipIntensityPercentilesd", "keys": "image", "lower": lower, "upper": upper},
        {"_target_": "NormalizeIntensityd", "keys": "image"},
    ]


def _volume(task: Task) -> Config:
    """Volumes: axes (slice, row, column) along the patient's, the wanted spacing, windows or the patch in the middle."""
    found: Config = {
        "suffixes": _VOLUMES,
        # From inferior to superior, posterior to anterior, left to right: the order of axes that the network was trained on.
        "orient": {"_target_": "Orientation", "axcodes": "SAR", "labels": [["L", "R"], ["P", "A"], ["I", "S"]]},
        "spacing_mm": None if task.spacing_mm is None else list(task.spacing_mm),
        "roi_size": list(task.image_size),
        # The first voxel stays where it is; spacings within a percent are one.
        "respace": (
            "$lambda image: image if @spacing_mm is None or "
            f"all(abs(w / s - 1) <= {SAME_SPACING} for w, s in zip(@spacing_mm, image.pixdim.tolist())) else "
            "monai.transforms.SpatialResample(mode='bilinear', padding_mode='border', align_corners=True, dtype=torch.float64)(image, "
            "dst_affine=image.affine.double().matmul(torch.diag(torch.tensor([w / s for w, s in zip(@spacing_mm, image.pixdim.tolist())] + [1.0], "
            "dtype=torch.float64))), "
            "spatial_size=[int((n - 1) * s / w + 1e-6) + 1 for n, s, w in zip(image.shape[1:], image.pixdim.tolist(), @spacing_mm)])"
        ),
        # Logits go back to the file's voxels before a class is chosen.
        "restore": (
            "$lambda values, original: (lambda oriented: monai.transforms.Orientation("
            "axcodes=''.join(nibabel.aff2axcodes(original.affine.numpy())), labels=[['L', 'R'], ['P', 'A'], ['I', 'S']])("
            "monai.data.MetaTensor(values if values.shape[1:] == oriented.shape[1:] else monai.transforms.SpatialResample("
            "mode='bilinear', padding_mode='border', align_corners=True, dtype=torch.float64)(values, dst_affine=oriented.affine, "
            "spatial_size=oriented.shape[1:]), affine=oriented.affine, meta={'filename_or_obj': original.meta['filename_or_obj']})))(@orient(original))"
        ),
    }
    prepare = [
        {"_target_": "Lambdad", "keys": "image", "func": "@orient", "track_meta": False},
        {"_target_": "Lambdad", "keys": "image", "func": "@respace", "track_meta": False},
        *_intensity(task),
    ]
    if task.kind is TaskKind.SEGMENTATION:
        found["predict"] = (
            "$lambda image, network: monai.inferers.sliding_window_inference(image[None].to(@device), roi_size=@roi_size, sw_batch_size=1, "
            f"predictor=network, overlap={task.overlap}, mode='gaussian', cval=float(image.min()))[0].cpu()"
        )
    else:
        # The patch in the middle, filled up with the lowest value where the volume is smaller.
        prepare.append({"_target_": "CenterSpatialCropd", "keys": "image", "roi_size": "@roi_size"})
        pad = "$lambda image: monai.transforms.SpatialPad(@roi_size, value=float(image.min()))(image)"
        prepare.append({"_target_": "Lambdad", "keys": "image", "func": pad, "track_meta": False})
        found["batch"] = "$lambda image: image.as_tensor()[None]"
    return {**found, "preprocessing": {"_target_": "Compose", "transforms": [*_load(), *prepare]}}


def _slices(task: Task) -> Config:
    """Slices of volumes as they are stored, (column, row, slice) in NIfTI; each has the size of the network's pictures."""
    return {
        "suffixes": _VOLUMES,
        "predict": (
            "$lambda image, network: torch.cat([network(one[None].to(@device)).cpu() for one in "
            "image.as_tensor().permute(3, 0, 2, 1)]).permute(1, 3, 2, 0)"
        ),
        "restore": "$lambda values, original: monai.data.MetaTensor(values, affine=original.affine, meta={'filename_or_obj': original.meta['filename_or_obj']})",
        "preprocessing": {"_target_": "Compose", "transforms": [*_load(), *_intensity(task)]},
    }


def _pictures(task: Task) -> Config:
    """Grey pictures, brought to size as training does: aspect kept, each pixel the mean of those it stands for, padded with zeros."""
    rows, columns = task.image_size[-2:]
    return {
        "suffixes": _PICTURES,
        "letterbox": (
            f"$lambda path: (lambda grey: (lambda scale: torch.from_numpy((lambda box: np.pad(box, ((0, {rows} - box.shape[0]), "
            f"(0, {columns} - box.shape[1]))))(np.asarray(grey.resize((max(1, round(grey.width * scale)), max(1, round(grey.height * scale))), "
            f"Image.Resampling.BOX)))).float()[None])(min({rows} / grey.height, {columns} / grey.width)))(Image.open(path).convert('L'))"
        ),
        "batch": "$lambda image: image[None]",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [{"_target_": "Lambdad", "keys": "image", "func": "@letterbox", "track_meta": False}, *_intensity(task)],
        },
    }


def _segmentation(*, has_maps: bool) -> Config:
    """Labels, and the class maps, as NIfTI on the voxels of the file."""
    saved = "monai.transforms.SaveImage(output_dir=@output_dir, output_postfix='{}', output_dtype={}, resample=False, separate_folder=False, print_log=False)"
    found = {
        "save_label": f"${saved.format('seg', 'np.uint8')}",
        "answer": (
            "$lambda item: (lambda logits: (@save_label(monai.data.MetaTensor(logits.argmax(0, keepdim=True), affine=logits.affine, "
            "meta={'filename_or_obj': item['name']})), @keep_maps(logits, item)))(@restore(@predict(item['image'], @network), item['original']))"
        ),
        "keep_maps": "$lambda logits, item: None",
        "run": ["$monai.utils.set_determinism(0)", "$[@answer(item) for item in @dataset]"],
    }
    if has_maps:
        found["save_maps"] = f"${saved.format('class_map', 'np.float32')}"
        found["keep_maps"] = (
            "$lambda logits, item: @save_maps(monai.data.MetaTensor(logits.as_tensor() - torch.tensor(@head_bias).reshape(-1, 1, 1, 1), "
            "affine=logits.affine, meta={'filename_or_obj': item['name']}))"
        )
    return found


def _classification(*, has_maps: bool) -> Config:
    """One line of JSON for each file: probabilities (not calibrated) by class; the class maps of all files as one file of NumPy each."""
    found = {
        "answer": (
            "$lambda item: {'file': pathlib.Path(item['name']).name, 'probabilities': dict(zip(@class_names, "
            "@network(@batch(item['image']).to(@device)).softmax(1)[0].tolist())), 'logits': @network(@batch(item['image']).to(@device))[0].tolist()}"
        ),
        "keep_maps": "$lambda item: None",
        "write": (
            f"$lambda answers: (pathlib.Path(@output_dir).mkdir(parents=True, exist_ok=True), (pathlib.Path(@output_dir) / '{ANSWERS}')"
            ".write_text(json.dumps(answers, indent=1)), print('\\n'.join(map(json.dumps, answers))))"
        ),
        "run": ["$@write([(@answer(item), @keep_maps(item))[0] for item in @dataset])"],
    }
    if has_maps:
        found["map_network"] = f"$torch.jit.load(@bundle_root + '/{MAPS}', map_location=@device).eval()"
        found["keep_maps"] = (
            "$lambda item: (pathlib.Path(@output_dir).mkdir(parents=True, exist_ok=True), np.save(pathlib.Path(@output_dir) / "
            "(pathlib.Path(item['name']).name.split('.')[0] + '_class_map.npy'), @map_network(@batch(item['image']).to(@device))[0].cpu().numpy()))"
        )
    return found
