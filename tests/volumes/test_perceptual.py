from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from medkd.volumes.perceptual import near_duplicates, perceptual_hash


def scene(seed, shape=(180, 220)):
    """Return a smooth random picture with some noise: as unlike another seed's as two patients are."""
    generator = np.random.default_rng(seed)
    rows, columns = np.meshgrid(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1]), indexing="ij")
    waves = [
        generator.normal() * np.sin(generator.uniform(2, 30) * rows + generator.uniform(2, 30) * columns + generator.uniform(0, 6))
        for _ in range(25)
    ]
    return np.clip(120 + 25 * np.sum(waves, axis=0) + generator.normal(0, 4, shape), 0, 255).astype(np.uint8)


def jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


COPIES = {
    "smaller": lambda p: np.asarray(Image.fromarray(p).resize((150, 122))),
    "recompressed": jpeg,
    "brighter": lambda p: np.clip(p * 1.2 + 10, 0, 255),
    "noisy": lambda p: p + np.random.default_rng(0).normal(0, 8, p.shape),
    "trimmed": lambda p: p[3:-3, 3:-3],
    "other type": lambda p: p.astype(np.float32) * 16 - 1024,
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_looks_the_same_whatever_was_done_to_it(change):
    pictures = [scene(seed) for seed in range(12)]
    hashes = [perceptual_hash(one) for one in pictures] + [perceptual_hash(COPIES[change](pictures[5]))]
    assert near_duplicates(hashes, [str(row) for row in range(13)]) == [(5, 12)]


def test_pictures_of_one_patient_may_look_alike_and_missing_hashes_are_left_out():
    one = perceptual_hash(scene(1))
    assert near_duplicates([one, one, None, one], ["a", "a", "b", "b"]) == [(0, 3), (1, 3)]


def test_a_volume_is_hashed_by_its_three_middle_planes():
    volume = np.stack([scene(seed, (40, 50)) for seed in range(30)])
    assert perceptual_hash(volume) == "".join(perceptual_hash(volume.take(volume.shape[axis] // 2, axis)) for axis in range(3))
