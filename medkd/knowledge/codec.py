"""Logits, features and maps as few bytes as their use allows, decoded to the same numbers on every machine.

The logits of a segmentation are kept up to a constant per voxel (which no softmax sees), so that one class needs no place. They are
smooth where the teacher is sure and steep at borders: a half-resolution base holds the first, and where its margin says that the teacher
is in doubt, what it leaves is added at full resolution. Which voxels these are follows from the base, in integers: nothing is stored of it,
and rounding cannot move it. Both parts are then packed losslessly (zlib).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_contracts import ExtractionConfig, StoreError

#: Rounds in which the base takes up what its own interpolation leaves (iterative back-projection, Irani and Peleg 1991).
ROUNDS = 4
LEVEL = 6
_TOP = 127
#: Largest number that margins are compared with: they are 32-bit integers.
_MOST = 2**31 - 1
_LEAST = np.float32(1e-30)


@dataclass(frozen=True)
class LogitCodec:
    """Codec of the logits of a segmentation.

    Args:
        step: quantisation step of the base, in logits.
        residual_step: of the residual.
        doubt: margin of the base below which there is a residual; 0 for none.
    """

    step: float = 0.25
    residual_step: float = 0.25
    doubt: float = 6.0

    @classmethod
    def of(cls, config: ExtractionConfig) -> LogitCodec:
        """Return the codec of a query."""
        return cls(config.step, config.residual_step, config.doubt)

    def encode(self, logits: Tensor) -> bytes:
        """Encode float logits [classes, *space], two or three axes of space.

        Values beyond 127 steps from the mean over the classes are held there (31 logits at the default step).
        """
        space = tuple(logits.shape[1:])
        level = logits.detach().cpu().double()
        level = (level - level.mean(0, keepdim=True))[:-1]
        base = (_fitted(level) / self.step).round().clamp(-_TOP, _TOP).to(torch.int32)
        fine = _doubled(base, space)
        unit = 4 ** len(space)
        doubtful = self._doubtful(fine, unit)
        left = level - fine * (self.step / unit)
        residual = (left / self.residual_step).round().clamp(-_TOP, _TOP)[:, doubtful].to(torch.int8)
        parts = [zlib.compress(_differences(base.to(torch.int8).numpy()), LEVEL), zlib.compress(residual.numpy().tobytes(), LEVEL)]
        return struct.pack(f"<BB{len(space)}HI", len(logits), len(space), *space, len(parts[0])) + parts[0] + parts[1]

    def decode(self, payload: bytes | memoryview) -> Tensor:
        """Return float32 logits [classes, *space], mean zero over the classes."""
        classes, dims = struct.unpack_from("<BB", payload)
        form = f"<{dims}HI"
        *space, first = struct.unpack_from(form, payload, 2)
        begin = 2 + struct.calcsize(form)
        grid = tuple(-(-extent // 2) for extent in space)
        base = _sums(_inflate(payload[begin : begin + first]), (classes - 1, *grid))
        fine = _doubled(base, tuple(space))
        unit = 4 ** len(space)
        values = fine.to(torch.float32) * (self.step / unit)
        packed = np.frombuffer(_inflate(payload[begin + first :]), dtype=np.int8)
        if len(packed):
            doubtful = self._doubtful(fine, unit)
            values[:, doubtful] += torch.from_numpy(packed.reshape(classes - 1, -1).astype(np.float32)) * self.residual_step
        return torch.cat([values, -values.sum(0, keepdim=True)])

    def _doubtful(self, fine: Tensor, unit: int) -> Tensor:
        """Return bool [*space], where the margin of the base, in integers, is below ``doubt``."""
        if self.doubt == 0:
            return torch.zeros(fine.shape[1:], dtype=torch.bool)
        every = torch.cat([fine, -fine.sum(0, keepdim=True, dtype=torch.int32)])
        top = every.topk(2, dim=0).values
        return (top[0] - top[1]) < min(int(self.doubt * unit / self.step), _MOST)


def _fitted(values: Tensor) -> Tensor:
    """Return the half-resolution grid [channels, *half] whose interpolation comes closest to values [channels, *space]."""
    space = tuple(values.shape[1:])
    base = halved(values)
    for _ in range(ROUNDS):
        base = base + halved(values - _doubled(base, space) / 4 ** len(space))
    return base


def halved(values: Tensor) -> Tensor:
    """Return means of blocks of two along each axis; the last block of an odd axis holds one."""
    for axis in range(1, values.ndim):
        if values.shape[axis] % 2:
            values = torch.cat([values, values.narrow(axis, values.shape[axis] - 1, 1)], dim=axis)
        values = values.unflatten(axis, (-1, 2)).mean(axis + 1)
    return values


def _doubled(base: Tensor, space: tuple[int, ...]) -> Tensor:
    """Return 4^axes times the linear interpolation of a half-resolution grid, cut to ``space``: exact in integers."""
    fine = base
    for axis, extent in enumerate(space, start=1):
        last = fine.shape[axis] - 1
        before = torch.cat([fine.narrow(axis, 0, 1), fine.narrow(axis, 0, last)], dim=axis)
        after = torch.cat([fine.narrow(axis, 1, last), fine.narrow(axis, last, 1)], dim=axis)
        pairs = torch.stack([3 * fine + before, 3 * fine + after], dim=axis + 1)
        fine = pairs.flatten(axis, axis + 1).narrow(axis, 0, extent)
    return fine


def _differences(values: NDArray[np.int8]) -> bytes:
    """Return differences along the last axis, modulo 256: smooth values become many small ones."""
    plain = values.view(np.uint8)
    result = plain.copy()
    result[..., 1:] = plain[..., 1:] - plain[..., :-1]
    return result.tobytes()


def _sums(payload: bytes, shape: tuple[int, ...]) -> Tensor:
    differences = np.frombuffer(payload, dtype=np.uint8).reshape(shape)
    values = np.cumsum(differences, axis=-1, dtype=np.uint8).view(np.int8)
    return torch.from_numpy(values.astype(np.int32))


def encode_channels(values: Tensor) -> bytes:
    """Encode float values [channels, *grid] as 8 bits each, between the least and the largest of their channel."""
    plain = values.detach().cpu().float()
    flat = plain.flatten(1)
    low, high = flat.amin(1).numpy(), flat.amax(1).numpy()
    span = np.maximum(high - low, _LEAST)[:, None]
    levels = np.clip(np.rint((flat.numpy() - low[:, None]) / span * 255), 0, 255).astype(np.uint8)
    head = struct.pack(f"<B{plain.ndim}H", plain.ndim, *plain.shape)
    return head + low.tobytes() + high.tobytes() + zlib.compress(levels.tobytes(), LEVEL)


def decode_channels(payload: bytes | memoryview) -> Tensor:
    """Return float32 values [channels, *grid]."""
    (dims,) = struct.unpack_from("<B", payload)
    shape = struct.unpack_from(f"<{dims}H", payload, 1)
    begin = 1 + 2 * dims
    bounds = np.frombuffer(payload, dtype=np.float32, count=2 * shape[0], offset=begin).reshape(2, -1, 1)
    levels = np.frombuffer(_inflate(payload[begin + 8 * shape[0] :]), dtype=np.uint8).reshape(shape[0], -1)
    span = np.maximum(bounds[1] - bounds[0], _LEAST)
    return torch.from_numpy((bounds[0] + levels.astype(np.float32) * (span / 255)).astype(np.float32).reshape(shape))


def encode_plain(values: Tensor) -> bytes:
    """Encode a vector [classes] as float32: the logits of a classification are few."""
    return values.detach().cpu().float().numpy().tobytes()


def decode_plain(payload: bytes | memoryview) -> Tensor:
    """Return float32 [classes]."""
    return torch.from_numpy(np.frombuffer(payload, dtype=np.float32).copy())


def _inflate(payload: bytes | memoryview) -> bytes:
    """Unpack, or raise ``KNOWLEDGE_UNREADABLE``."""
    try:
        return zlib.decompress(payload)
    except zlib.error as error:
        raise StoreError("KNOWLEDGE_UNREADABLE", f"expected packed knowledge, {error}: extract it again") from error
