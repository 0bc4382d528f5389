"""From a frame to the array that enters the network: crop, normalise, quantize, layout. Numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.geometry import Crop
from npuface_runtime.manifest import Manifest
from npuface_runtime.sampling import FloatArray, sample_crop


def prepare(frame: NDArray[np.uint8], crop: Crop, manifest: Manifest) -> NDArray[Any]:
    """Cut a face out of a frame as the network wants it.

    Args:
        frame: RGB uint8 [H, W, 3].
        crop: the face's region in frame pixels; what lies outside the frame is black.
        manifest: of the bundle that will take the result.

    Returns:
        The network's input with its batch dimension, in the manifest's layout and type: (rgb - mean) / std,
        divided by the scale, rounded and shifted by the zero point where the input is quantized.
    """
    return normalise(sample_crop(frame, crop, manifest.input_shape), manifest)


def normalise(picture: FloatArray, manifest: Manifest) -> NDArray[Any]:
    """RGB [H, W, 3], 0..255 -> the network's input; see `prepare`. One multiplication and addition a value."""
    info, how = manifest.input, manifest.preprocess
    scale, zero = (1.0, 0) if info.scale is None or info.zero_point is None else (info.scale, info.zero_point)
    gain = 1 / (np.asarray(how.std) * scale)
    shift = zero - np.asarray(how.mean) * gain
    planes = np.empty(info.shape, np.float32)
    for channel in range(3):
        plane = planes[0, channel] if info.layout == "NCHW" else planes[0, :, :, channel]
        np.multiply(picture[:, :, channel], np.float32(gain[channel]), out=plane)
        plane += np.float32(shift[channel])
    if info.scale is None:
        return planes.astype(info.dtype, copy=False)
    limits = np.iinfo(info.dtype)
    np.rint(planes, out=planes)
    np.clip(planes, limits.min, limits.max, out=planes)
    return planes.astype(info.dtype)
