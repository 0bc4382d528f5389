"""A pose in, a picture of a face out: a renderer's bundle on its engine."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.engines import Session, open_session
from npuface_runtime.errors import EngineError, UserError
from npuface_runtime.ray_encoding import SHUFFLE, network_input
from npuface_runtime.renderer_manifest import RendererManifest

Code = NDArray[np.float32]
Number = TypeVar("Number", np.float32, np.uint8)


class FaceRenderer:
    """An open renderer. A context manager; use it from one thread at a time.

    with FaceRenderer("bundle") as renderer:
        picture = renderer.render(yaw=20)

    Attributes:
        manifest: of the bundle.
        description: what runs where, in one sentence.
    """

    def __init__(self, bundle: str | Path, threads: int = 1) -> None:
        """Open a bundle.

        Args:
            bundle: a folder made by npuface export --part renderer.
            threads: CPU threads of the engine.

        Raises:
            UserError: it is no renderer's bundle, it is damaged, or its engine is not installed.
        """
        self.manifest = RendererManifest.load(bundle)
        files = {r: self.manifest.file(bundle, r) for r in ("model", "weights") if r in self.manifest.files}
        self._entered: NDArray[np.float32] | None = None
        self._session = open_session(self.manifest.engine, files, threads, [self.manifest.outputs[0].name])
        inside = [(spec.shape, spec.dtype) for spec in (self._session.input, *self._session.outputs)]
        described = [(info.shape, info.dtype) for info in (self.manifest.input, *self.manifest.outputs)]
        if inside != described:
            self.close()
            why = f"its model's tensors are {inside}, its manifest says {described}"
            raise UserError(f"the bundle {bundle} is damaged", why, "export it again")
        name, precision, target = self.manifest.name, self.manifest.precision, self.manifest.target
        self.description = f"{name} ({precision}) for {target} runs on {self._session.description}"

    def render(
        self, yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0, codes: tuple[Code, Code] | None = None
    ) -> NDArray[np.uint8]:
        """The face as a camera at that pose sees it: RGB [size, size, 3].

        Args:
            yaw, pitch, roll: degrees; zero is the frontal view (see ray_encoding).
            codes: Zs and Za, vectors; only where the bundle takes them.

        Raises:
            UserError: the pose is out of range, or the codes do not fit the bundle.
            EngineError: the engine failed.
        """
        self._entered = network_input(self.manifest.renderer, (yaw, pitch, roll), codes, self._entered)
        levels = _colours(self.manifest, self._session, self._entered) * np.float32(255)
        return pixels(np.rint(levels, out=levels).clip(0, 255, out=levels).astype(np.uint8))

    def close(self) -> None:
        """Let go of the model. Closing twice is harmless."""
        self._session.close()

    def __enter__(self) -> FaceRenderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def run_renderer(manifest: RendererManifest, session: Session, entered: NDArray[np.float32]) -> NDArray[np.float32]:
    """A renderer's picture [size, size, 3], RGB in 0..1, for its float32 NCHW input, whatever its tensors' types.

    Raises:
        EngineError: the engine failed, or a colour is not finite.
    """
    return pixels(_colours(manifest, session, entered)).clip(0, 1)


def _colours(manifest: RendererManifest, session: Session, entered: NDArray[np.float32]) -> NDArray[np.float32]:
    """Blocks of pixels [1, n, n, 48], about 0..1."""
    info, out = manifest.input, manifest.outputs[0]
    if info.layout == "NHWC":
        entered = np.ascontiguousarray(entered.transpose(0, 2, 3, 1))
    if info.scale is not None and info.zero_point is not None:
        limits = np.iinfo(info.dtype)
        stored = np.rint(entered / info.scale) + info.zero_point
        (made,) = session.run(stored.clip(limits.min, limits.max).astype(info.dtype))
    else:
        (made,) = session.run(entered)
    blocks = made.astype(np.float32, copy=False)
    if not math.isfinite(blocks.sum()):
        why = "the network returned colours that are not finite"
        raise EngineError(f"cannot render with {manifest.name}", why, "check the precision that the engine runs it in")
    if out.scale is not None and out.zero_point is not None:
        blocks = (blocks - out.zero_point) * np.float32(out.scale)
    return blocks if out.layout == "NHWC" else blocks.transpose(0, 2, 3, 1)


def pixels(blocks: NDArray[Number]) -> NDArray[Number]:
    """Blocks of pixels [1, n, n, 48] -> the picture [4n, 4n, 3]; see RendererRecord.output_shape."""
    _, height, width, _ = blocks.shape
    apart = blocks.reshape(height, width, SHUFFLE, SHUFFLE, 3)
    return apart.transpose(0, 2, 1, 3, 4).reshape(SHUFFLE * height, SHUFFLE * width, 3)
