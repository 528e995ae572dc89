"""An invented thorax with a lesion, for pages that are looked at and pages that are large."""

from __future__ import annotations

import numpy as np

from data_contracts import Geometry, OutsideFocus
from medkd.review.caveats import compute_caveats
from medkd.review.shown import PriorStudy, StudyArrays
from tests.review.conftest import CAM, explained


def thorax(shape, spacing, lesion, seed=0):
    """Return CT values of a thorax and the mask of a round lesion.

    Args:
        shape: slices, rows, columns.
        spacing: of them, mm.
        lesion: slice, row, column as shares of the shape, and radius in mm.
        seed: of the noise.
    """
    generator = np.random.default_rng(seed)
    slices, rows, columns = (np.arange(size)[(None,) * axis + (...,) + (None,) * (2 - axis)] for axis, size in enumerate(shape))
    place = [
        (along - share * size) * step for along, share, size, step in zip((slices, rows, columns), lesion, shape, spacing, strict=False)
    ]
    z, y, x = slices / shape[0] - 0.5, rows / shape[1] - 0.5, columns / shape[2] - 0.5
    wide = 1 - 0.5 * z**2
    values = np.full(shape, -1000, np.float32)
    values[(y / (0.36 * wide)) ** 2 + (x / (0.45 * wide)) ** 2 < 1] = 40
    for side in (-1, 1):
        values[((y + 0.02) / (0.24 * wide)) ** 2 + ((x - side * 0.2) / 0.14) ** 2 + (z / 0.55) ** 2 < 1] = -820
    values[np.broadcast_to((y - 0.22) ** 2 + (x / 1.2) ** 2 < 0.05**2, shape)] = 500
    values[((y + 0.05) / 0.13) ** 2 + ((x - 0.05) / 0.12) ** 2 + ((z - 0.1) / 0.25) ** 2 < 1] = 60
    mask = (place[0] ** 2 + place[1] ** 2 + place[2] ** 2 < lesion[3] ** 2).astype(np.uint8)
    values[mask > 0] = 50
    return values + generator.normal(0, 18, shape).astype(np.float32), mask


def glow(shape, spacing, centre, radius):
    """Return a map that falls from 1 at a place (shares of the shape) by a radius in mm."""
    distance = np.zeros(shape, np.float32)
    for axis, (size, share, step) in enumerate(zip(shape, centre, spacing, strict=True)):
        along = ((np.arange(size) - share * size) * step)[(None,) * axis + (...,) + (None,) * (2 - axis)]
        distance = distance + (along.astype(np.float32) / radius) ** 2
    return np.exp(-distance)


def study_of_thorax(report, shape=(60, 256, 256), spacing=(3.5, 1.5, 1.5), *, small=False):
    """Return a report and its arrays of a thorax with a lesion in the right lung and attribution on the heart; ``small``: as it was before."""
    where = (0.45, 0.46, 0.3, 8.0 if small else 12.0)
    values, mask = thorax(shape, spacing, where, seed=int(small))
    affine = ((0.0, 0.0, spacing[2], -190.0), (0.0, spacing[1], 0.0, -190.0), (spacing[0], 0.0, 0.0, -100.0), (0.0, 0.0, 0.0, 1.0))
    geometry = Geometry(shape=shape, affine_lps_mm=affine, spacing_mm=spacing, residual_mm=0.001)
    focus = tuple(round(share * size) for share, size in zip((0.7, 0.45, 0.55), shape, strict=True))
    on_lesion, on_heart = glow(shape, spacing, where[:3], 14.0), glow(shape, spacing, (0.7, 0.45, 0.55), 18.0)
    kept = {CAM["student"]: on_lesion + 0.8 * on_heart, CAM["teacher"]: 0.9 * on_lesion - 0.1 * on_heart}
    kept |= {"mask/1": mask, "segmentation/student": mask, "segmentation/teacher": np.roll(mask, 2, 2)}
    one = report.explanations[0]
    keys = {"study_key": "t0", "series_key": "s0"} if small else {}
    places = np.argwhere(mask)
    outside = OutsideFocus(
        explainer="grad_cam",
        slice_index=focus[0],
        row=focus[1],
        column=focus[2],
        position_lps_mm=geometry.position_lps_mm(*focus),
        share_outside=0.62,
    )
    lesion = one.lesions[0].model_copy(
        update={
            "side": "right",
            "volume_ml": float(mask.sum() * abs(geometry.determinant_mm3()) / 1000),
            "diameter_mm": 2 * where[3],
            "axes_mm": (2 * where[3], 1.9 * where[3]),
            "centroid_lps_mm": geometry.position_lps_mm(*places.mean(0)),
            "first_slice": int(places[:, 0].min()),
            "last_slice": int(places[:, 0].max()),
            "key_slice": int(mask.sum((1, 2)).argmax()),
            "outside": outside,
            "share_in_teacher": 0.9,
            "dice_to_teacher": 0.91,
        }
    )
    volume = one.volume.model_copy(update={"geometry": geometry, "modality": "CT", "unit": "HU", **keys})
    own = explained(report, volume=volume, lesions=(lesion,))
    own = own.model_copy(update={"caveats": compute_caveats(own.explanations), "window": (-160.0, 240.0)})
    return own, StudyArrays(values, (kept,), np.roll(mask, 1, 1))


def prior_of_thorax(report):
    """Return the thorax as it was before: the lesion was smaller."""
    return PriorStudy(*study_of_thorax(report, small=True))
