"""Landmark schemes: permutations, boundaries and mirror images that fit real labelled faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from npuface_runtime.errors import UserError
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.schemes import IBUG_68, SCHEMES, WFLW_98, Scheme, mirror_points, scheme_by_name, scheme_by_points


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_flip_is_an_involution_over_all_points(scheme: Scheme) -> None:
    assert sorted(scheme.flip) == list(range(scheme.points))
    assert all(scheme.flip[scheme.flip[i]] == i for i in range(scheme.points))


def test_boundaries_are_the_published_number_and_cover_the_face() -> None:
    assert len(WFLW_98.boundaries) == 15
    assert len(IBUG_68.boundaries) == 13
    # every point lies on a curve, but for the pupils
    assert {i for curve in WFLW_98.boundaries for i in curve} == set(range(96))
    assert {i for curve in IBUG_68.boundaries for i in curve} == set(range(68))


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_mirrored_boundaries_are_boundaries(scheme: Scheme) -> None:
    curves = {frozenset(curve) for curve in scheme.boundaries}
    assert {frozenset(scheme.flip[i] for i in curve) for curve in scheme.boundaries} == curves


@pytest.mark.parametrize("scheme", SCHEMES.values(), ids=list(SCHEMES))
def test_outer_eye_corners_mirror_each_other(scheme: Scheme) -> None:
    left, right = scheme.eye_corners
    assert scheme.flip[left] == right


def _asymmetry(faces: np.ndarray, scheme: Scheme) -> float:
    """Mean distance between the mean face and its mirror image, over the eye distance."""
    centred = faces - faces.mean(axis=1, keepdims=True)
    a, b = scheme.eye_corners
    mean = (centred / np.linalg.norm(faces[:, a] - faces[:, b], axis=-1)[:, None, None]).mean(axis=0)
    mirrored = mean[list(scheme.flip)] * (-1, 1)
    return float(np.linalg.norm(mean - mirrored, axis=-1).mean())


@pytest.mark.parametrize(("name", "scheme"), [("98pt", WFLW_98), ("68pt", IBUG_68)])
def test_flip_pairs_fit_real_faces(data: Path, name: str, scheme: Scheme) -> None:
    """The mean of many real faces is nearly its own mirror image; one wrong pair would show."""
    faces, found = read_faces(f"wflw:{data}/wflw/list_{name}_rect_attr.txt")
    assert found is scheme
    points = np.stack([face.points for face in faces])
    assert _asymmetry(points, scheme) < 0.05
    # negative control: without the index swap the mirror image lies far off
    wrong = Scheme(scheme.name, scheme.points, tuple(range(scheme.points)), (), scheme.eye_corners, ())
    assert _asymmetry(points, wrong) > 0.3


def test_mirroring_twice_gives_the_points_back() -> None:
    points = np.random.default_rng(0).uniform(0, 100, (68, 2))
    twice = mirror_points(mirror_points(points, 100, IBUG_68), 100, IBUG_68)
    np.testing.assert_allclose(twice, points, atol=1e-9)


def test_unknown_schemes_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="known schemes are ibug-68, wflw-98"):
        scheme_by_name("ibug-5")
    with pytest.raises(UserError, match=r"5 landmarks a face.*68 \(ibug-68\)"):
        scheme_by_points(5)
