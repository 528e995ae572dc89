"""The profile of one study and one model: images, predictions and attributions, from what was explained and one more forward pass."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from data_contracts import SeriesRecord, StudyExplanation, StudyProfile
from medkd.drift.attribution_profile import attribution_profile
from medkd.drift.image_profile import image_profile, image_tags
from medkd.drift.prediction_profile import prediction_profile
from medkd.explanation.explain_study import LoadedModel, StudyImages
from medkd.inference.segment import prepare_study
from medkd.volumes.orientation import grid_of, require_space


def study_profile(
    loaded: LoadedModel,
    images: StudyImages,
    explained: tuple[StudyExplanation, Mapping[str, Tensor]],
    series: SeriesRecord | None = None,
) -> StudyProfile:
    """Return what drift is looked for in: of a model that sees several images the profile of images is of all, and the tags of the first.

    Args:
        loaded: the model that was asked.
        images: the volume, and the other images of its study.
        explained: what was found and explained, and its arrays.
        series: how it was acquired, where the store says.

    Raises:
        DataError: ``GRID_MISMATCH`` for a study that the model cannot see, ``PICTURE_WITHOUT_SPACE`` for a picture.
    """
    geometry = require_space(images.volume, "a profile of drift")
    study = prepare_study(images.values.float(), grid_of(geometry), loaded.checkpoint.task, images.further.values)
    return StudyProfile(
        images=image_profile(study.image, geometry),
        predictions=prediction_profile(loaded, study, *explained),
        attribution=attribution_profile(*explained),
        tags=image_tags(images.volume, series),
    )
