"""A region of a frame in, the landmarks of the face there out: one bundle on its engine."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.bundle import describe, open_bundle
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_decode
from npuface_runtime.geometry import Crop
from npuface_runtime.manifest import Manifest
from npuface_runtime.preprocess import prepare
from npuface_runtime.scratch import Scratch

Landmarks = NDArray[np.float32]
Confidence = NDArray[np.float32]


class Landmarker:
    """An open bundle. Safe to use from several threads: they take turns.

    Attributes:
        manifest: of the bundle.
        description: what runs where, in one sentence; it says so where an engine stands in for an NPU.
    """

    def __init__(self, bundle: str | Path, threads: int = 1, on: str = "host") -> None:
        """Open a bundle (see bundle.open_bundle). Raises UserError where it cannot be used."""
        self._turn = Lock()
        self._threads, self._on = threads, on
        self._scratch = Scratch()
        self._is_open = True
        self.manifest: Manifest
        self.manifest, self._session = open_bundle(bundle, threads, on)
        self.description = describe(self.manifest, self._session, on)

    def locate(self, frame: NDArray[np.uint8], crop: Crop) -> tuple[Landmarks, Confidence | None]:
        """The landmarks [K, 2] in pixels of an RGB frame [H, W, 3], and their confidence [K] in 0..1.

        The confidence is None where the network's decode has none.

        Raises:
            UserError: the frame is not RGB uint8, the crop is no region of it, or this is closed.
            EngineError: the engine failed; it may be used again.
        """
        with self._turn:
            manifest = self.manifest
            outputs = self._session.run(prepare(frame, crop, manifest, self._scratch))
        points, confidence = finish_decode(manifest, outputs)
        landmarks = crop.to_frame(points, manifest.input_shape)
        return landmarks, None if np.isnan(confidence).any() else confidence

    def swap(self, bundle: str | Path, turn: AbstractContextManager[object] | None = None) -> None:
        """Go on with another bundle of the same landmarks; where it cannot be used the old one stays.

        Args:
            bundle: a folder made by npuface export. It is opened while the old one goes on running.
            turn: held during the exchange, for a caller whose own work must see one bundle throughout.

        Raises:
            UserError: it cannot be opened, has other landmarks, or this is closed.
        """
        manifest, session = open_bundle(bundle, self._threads, self._on)
        with turn or nullcontext(), self._turn:
            why = self._unfit(manifest)
            if why is None:
                session, self._session, self.manifest = self._session, session, manifest
                self.description = describe(manifest, self._session, self._on)
        session.close()
        if why is not None:
            raise UserError(f"cannot go on with the bundle {bundle}", why, "open it anew instead")

    def _unfit(self, manifest: Manifest) -> str | None:
        """Why the bundle in use cannot be exchanged for that one; None where it can."""
        if not self._is_open:
            return "what it should go on in is closed"
        its, ours = manifest.landmarks, self.manifest.landmarks
        if its != ours:
            return f"it has {its.points} landmarks of {its.scheme}, the one in use {ours.points} of {ours.scheme}"
        return None

    def close(self) -> None:
        """Let go of the model, after the run that may be going on. Closing twice is harmless."""
        with self._turn:
            self._is_open = False
            self._session.close()
