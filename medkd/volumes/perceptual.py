"""Perceptual hashes: pictures that look the same although not one byte is, such as a rescaled or recompressed copy.

The sign of the low frequencies of a picture (discrete cosine transform), as in Zauner, "Implementation and benchmarking of perceptual
image hash functions" (2010), with 16 x 16 frequencies instead of 8 x 8: radiographs of one body part look more alike than photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

#: Frequencies per axis, and the side of the reduced picture they are taken from.
FREQUENCIES, SIDE = 16, 64
#: Share of differing bits up to which two hashes are one picture. Measured: copies that were rescaled, recompressed, brightened, made noisy or
#: cropped by 4 pixels stay below .17 (150 BUS-BRA images), pictures of different patients above .28 (1,127 images; 159 hippocampus volumes).
SAME_SHARE = 0.2


def perceptual_hash(image: NDArray[Any]) -> str:
    """Return the hash (hex) of a picture [row, column], or of the three middle planes of a volume [slice, row, column]."""
    planes = [image] if image.ndim == 2 else [image.take(size // 2, axis=axis) for axis, size in enumerate(image.shape)]
    return "".join(np.packbits(_bits(plane)).tobytes().hex() for plane in planes)


def _bits(plane: NDArray[Any]) -> NDArray[np.bool_]:
    small = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32)).resize((SIDE, SIDE), Image.Resampling.BOX)
    frequencies = dctn(np.asarray(small, dtype=np.float64), norm="ortho")[:FREQUENCIES, :FREQUENCIES].ravel()
    # The mean brightness says nothing about what is shown.
    frequencies[0] = 0
    return np.asarray(frequencies > np.median(frequencies))


def near_duplicates(hashes: Sequence[str | None], owners: Sequence[str]) -> list[tuple[int, int]]:
    """Return pairs of rows of different owners whose pictures look the same; rows without a hash are left out."""
    rows = [row for row, value in enumerate(hashes) if value is not None]
    by_length: dict[int, list[int]] = {}
    for row in rows:
        by_length.setdefault(len(hashes[row] or ""), []).append(row)
    pairs = []
    for length, members in by_length.items():
        bits = np.array([list(bytes.fromhex(hashes[row] or "")) for row in members], dtype=np.uint8)
        for position, row in enumerate(members):
            differing = np.bitwise_count(bits[position + 1 :] ^ bits[position]).sum(axis=1)
            for other in np.flatnonzero(differing <= SAME_SHARE * 4 * length):
                partner = members[position + 1 + int(other)]
                if owners[partner] != owners[row]:
                    pairs.append((row, partner))
    return sorted(pairs)
