"""What tests share: the research data where it is there, a public-domain face, the shipped student."""

from __future__ import annotations

import os
from pathlib import Path

# small networks on few cores: more threads only wait for each other, and one thread gives the same bits every time
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def data() -> Path:
    """The data folder that NPUFACE_DATA names; tests that need it are skipped without it."""
    folder = os.environ.get("NPUFACE_DATA")
    if not folder:
        pytest.skip("NPUFACE_DATA is not set: this test needs the research data")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"NPUFACE_DATA names {path}, which is no folder")
    return path


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """A public-domain photograph with one face, RGB uint8 [512, 512, 3]."""
    from skimage import data as pictures

    return np.asarray(pictures.astronaut(), np.uint8)
