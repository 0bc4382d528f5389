"""Trials: every variant from the same start, nothing done twice, and a table that says what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import find_checkpoint, load_student
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.training_config import Distillation
from npuface_toolkit.trial import Result, run_trial
from npuface_toolkit.trial_file import find_trial, read_trial
from npuface_toolkit.trial_measure import Measured, TrialFaces, measure, trial_faces
from npuface_toolkit.trial_table import trial_columns, trial_markdown, trial_rows

TINY = """
seeds = [0, 1]
[base]
width = 0.25
depth = 2
held_out = 0.3
ema = 0.0
workers = 0
stages = [{ input_size = 64, epochs = 1, batch = 4 }]
[warm]
loss = { points = 0.0 }
[variants.first]
measured = []
[variants.second]
decode = "threshold-marginals"
loss = { peaks = 2.0 }
measured = []
"""
NOBODY = TrialFaces(IBUG_68, {}, frozenset(), ())


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return path


def test_a_variant_changes_the_base_key_by_key(tiny: Path) -> None:
    trial = read_trial(tiny)
    assert trial.warm is not None
    assert trial.warm.loss.points == 0
    second = trial.variants["second"].config
    assert (second.loss.peaks, second.loss.heatmaps, second.width) == (2.0, 1.0, 0.25)
    assert trial.variants["first"].config.decode == "relative-threshold"


def test_the_shipped_trial_gives_every_variant_the_same_schedule() -> None:
    trial = read_trial(find_trial("decode"))
    assert len(trial.seeds) >= 3
    assert len({variant.config.stages for variant in trial.variants.values()}) == 1
    assert trial.warm is not None
    assert trial.warm.loss.points == 0, "the start favours no decode"


def test_every_network_is_trained_once(tiny: Path, source: str, tmp_path: Path) -> None:
    trained: list[str] = []

    def run() -> list[Result]:
        return run_trial(read_trial(tiny), [source], NOBODY, tmp_path / "out", lambda name, _: trained.append(name))

    assert run() == []
    assert trained == ["warm-0", "first-0", "second-0", "warm-1", "first-1", "second-1"]
    _, info = load_student(str(tmp_path / "out" / "second-1.safetensors"))
    assert info.decode == "threshold-marginals"
    assert info.facts["config"]["start"].endswith("warm-1.safetensors")
    run()
    assert len(trained) == 6, "nothing is trained again"
    tiny.write_text(TINY.replace("peaks = 2.0", "peaks = 3.0"))
    with pytest.raises(UserError, match="second-0 was trained with another configuration"):
        run()


def test_without_a_warm_up_variants_start_as_their_configuration_says(tiny: Path, source: str, tmp_path: Path) -> None:
    run_trial(read_trial(tiny), [source], NOBODY, tmp_path / "first")
    start = tmp_path / "first" / "warm-0.safetensors"
    cold = TINY.replace("[warm]\nloss = { points = 0.0 }\n", "")
    tiny.write_text(cold.replace("[base]", f'[base]\nstart = "{start}"'))
    run_trial(read_trial(tiny), [source], NOBODY, tmp_path / "second")
    _, info = load_student(str(tmp_path / "second" / "first-0.safetensors"))
    assert info.facts["config"]["start"].endswith("warm-0.safetensors")
    given = read_trial(tiny, start="given.safetensors")
    assert {variant.config.start for variant in given.variants.values()} == {"given.safetensors"}


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("depth = 2", "deepness = 2", "deepness"),
        ("seeds = [0, 1]", "seeds = []", "at least one seed"),
        ("[base]", "[basis]", "base"),
        ("seeds = [0, 1]", "seeds = [", "Invalid|Unclosed|Expected|expected"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "different whole numbers"),
        ("seeds = [0, 1]", "seeds = [-1]", "different whole numbers"),
        ("seeds = [0, 1]", "seeds = [0.2]", "different whole numbers"),
        ("seeds = [0, 1]", "seeds = 3", "not iterable"),
        ("[variants.first]", "[[variants]]", "."),
        ("[variants.first]\nmeasured = []", "[variants]\nfirst = 3", "."),
        ("[warm]", "warm = 3\n[cold]", "."),
        ("[variants.first]", '[variants."../first"]', "no name for a variant"),
        ("measured = []", 'measured = "seed"', "no list of decode forms"),
        ("measured = []", 'measured = ["sead"]', "unknown decode form"),
        ("[variants.first]", "[variants.first]\nheld_out = 0.1", "held_out is 0.1 and 0.3"),
        ("[warm]", "[warm]\nheld_out = 0.1", "held_out is 0.1 and 0.3"),
    ],
)
def test_a_wrong_trial_is_refused(tiny: Path, old: str, new: str, reason: str) -> None:
    tiny.write_text(TINY.replace(old, new))
    with pytest.raises(UserError, match=reason):
        read_trial(tiny)


def test_a_missing_trial_is_refused() -> None:
    with pytest.raises(UserError, match="No such file"):
        read_trial(find_trial("nothing"))


def test_the_table_shows_mean_and_spread_and_the_paired_difference() -> None:
    def result(variant: str, seed: int, exact: float, quantized: float) -> Result:
        return Result(variant, seed, "host", Measured({"held out": exact}, {"held out": quantized}, 0.05))

    results = [result("a", 0, 0.05, 0.06), result("a", 1, 0.07, 0.08), result("b", 0, 0.04, 0.045)]
    results.append(result("b", 1, 0.06, 0.065))
    assert len(trial_columns(results, {})) == len(trial_rows(results, {}, {})[0])
    first, second = trial_rows(results, {}, {})
    assert first == ("a", "host", "6.00 ± 1.41", "7.00 ± 1.41", "0.050", "+1.00")
    assert second[-1] == "-0.50"
    assert trial_markdown(results, {}, {}).count("\n") == 4
    beside = {"old, the start": {"held out": 0.08}, "wise, a teacher": {"held out": 0.048}}
    rows = trial_rows(results, beside, {"a": "wise, a teacher"})
    assert [row[-1] for row in rows] == ["+25.0 %", "-", "-", "-"]
    assert rows[3][:4] == ("wise, a teacher", "as it is", "4.80", "-")
    assert {len(row) for row in rows} == {len(trial_columns(results, {"a": "wise, a teacher"}))}


def test_a_table_without_results_is_refused() -> None:
    with pytest.raises(UserError, match="no variant is measured"):
        trial_markdown([], {}, {})


def _strangers(faces: list[Face], folder: Path) -> str:
    """The drawn faces again, as pictures of their own."""
    lines = []
    for face in faces:
        (folder / f"other-{face.picture.name}").write_bytes(face.picture.read_bytes())
        lines.append(f"other-{face.picture.name}," + ",".join(str(v) for v in face.points.ravel()))
    (folder / "others.csv").write_text("\n".join(lines))
    return f"points:{folder}/others.csv:{folder}"


def test_faces_that_training_sees_or_networks_labelled_measure_nothing(
    source: str, faces: list[Face], tmp_path: Path
) -> None:
    others = _strangers(faces, tmp_path)
    with pytest.raises(UserError, match="pictures of it are trained on"):
        trial_faces([source], [source], 0.3)
    with pytest.raises(UserError, match="another set is called others"):
        trial_faces([source], [others, others], 0.3)
    weighted = "\n".join(
        f"other-{face.picture.name}," + ",".join(f"{x},{y},1" for x, y in face.points) for face in faces
    )
    (tmp_path / "weighted.csv").write_text(weighted)
    with pytest.raises(UserError, match="networks labelled its faces"):
        trial_faces([source], [f"weighted:{tmp_path}/weighted.csv:{tmp_path}"], 0.3)


def test_figures_of_other_faces_are_measured_anew(
    tiny: Path, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def figures(checkpoint: Path, form: str, faces: TrialFaces) -> Measured:
        asked.append(checkpoint.stem)
        return Measured(dict.fromkeys(faces.measured, 0.1), dict.fromkeys(faces.measured, 0.2), 0.01)

    monkeypatch.setattr("npuface_toolkit.trial.measure", figures)
    tiny.write_text(TINY.replace("seeds = [0, 1]", "seeds = [0]").replace("measured = []", 'measured = ["seed"]', 1))
    faces = trial_faces([source], [], 0.3)
    for measured in (faces, faces, replace(faces, measured={**faces.measured, "more": faces.calibration})):
        (result,) = run_trial(read_trial(tiny), [source], measured, tmp_path / "out")
        assert result.figures.float_nme.keys() == measured.measured.keys()
    assert asked == ["first-0", "first-0"]


def test_measuring_calibrates_on_several_faces_of_one_picture(data: Path) -> None:
    faces, _ = read_faces(f"points:{data}/p1/test_frames_keypoints.csv:{data}/p1/test")
    twice = [face for face in faces[:12] for _ in range(2)]
    few = TrialFaces(IBUG_68, {"few": faces[:2]}, frozenset(), twice)
    figures = measure(find_checkpoint("light-68"), "relative-threshold", few)
    assert 0 < figures.float_nme["few"] < 0.2
    assert figures.int8_nme["few"] == pytest.approx(figures.float_nme["few"], abs=0.02)
    assert 0 < figures.shift < 0.5


def test_trial_faces_are_of_people_that_training_never_sees(source: str, faces: list[Face], tmp_path: Path) -> None:
    known = trial_faces([source], [_strangers(faces, tmp_path)], 0.3)
    unseen = {face.identity for face in known.measured["held out"]}
    assert unseen
    assert not unseen & {face.identity for face in known.calibration}
    assert known.points("held out") is None
    assert known.points("others") is None
    assert len(known.points("others without jaw") or ()) == 68 - len(IBUG_68.jaw)


def test_what_a_network_labelled_measures_nothing(data: Path, tmp_path: Path) -> None:
    """A trial trains on every weighted face, so that none may be among those that it measures on."""
    labels = (data / "p1" / "test_frames_keypoints.csv").read_text().splitlines()[1:200]
    rows = []
    for line in labels:
        name, *values = line.split(",")
        rows.append(",".join([name, *(f"{x},{y},0.5" for x, y in zip(values[::2], values[1::2], strict=True))]))
    (tmp_path / "weighted.csv").write_text("\n".join(rows) + "\n")
    weighted = f"weighted:{tmp_path}/weighted.csv:{data}/p1/test"
    labelled = f"points:{data}/p1/training_frames_keypoints.csv:{data}/p1/training"
    alone, both = (trial_faces(sources, [], 0.2) for sources in ([labelled], [labelled, weighted]))
    assert len(both.calibration) == len(alone.calibration) + len(rows)
    assert len(both.measured["held out"]) == len(alone.measured["held out"])


def test_the_trial_of_teachers_differs_in_the_teacher_alone() -> None:
    trial = read_trial(find_trial("teacher"), start="light.safetensors")
    assert trial.taught == {"by-student-68": "student-68, a teacher", "by-teacher-68": "teacher-68, a teacher"}
    assert trial.beside == {
        "light, the start": "light.safetensors",
        "student-68, a teacher": "student-68",
        "teacher-68, a teacher": "teacher-68",
    }
    configs = [replace(variant.config, distillation=Distillation()) for variant in trial.variants.values()]
    assert configs == [configs[0]] * 3
    assert len(trial.seeds) >= 3
    assert trial.warm is None
    load_student(read_trial(find_trial("teacher")).variants["alone"].config.start)


def test_a_teacher_alone_speaks_of_the_other_faces_in_the_trial_of_fine_tuning() -> None:
    trial = read_trial(find_trial("fine-tune"))
    configs = {name: variant.config for name, variant in trial.variants.items()}
    assert {name: config.distillation.active for name, config in configs.items()} == {"taught": True, "alone": False}
    same = [replace(config, distillation=Distillation()) for config in configs.values()]
    assert same == [same[0]] * 2
    assert {config.network_labels for config in configs.values()} == {0.0}
    assert len(trial.seeds) >= 3
    load_student(configs["alone"].start)


def test_the_teacher_of_the_command_teaches_those_that_name_none(tiny: Path) -> None:
    tiny.write_text(TINY.replace("[variants.first]", '[variants.first]\ndistillation = { teacher = "own" }'))
    variants = read_trial(tiny, "given").variants
    assert [variants[name].config.distillation.teacher for name in ("first", "second")] == ["own", "given"]
    with pytest.raises(UserError, match="given teaches nobody"):
        read_trial(find_trial("teacher"), "given")


def test_the_teacher_of_the_command_teaches_the_variants_with_distillation() -> None:
    trial = read_trial(find_trial("distillation"), "teacher.safetensors")
    taught = {name: variant.config.distillation.active for name, variant in trial.variants.items()}
    with_teacher = {"distilled", "no-boundaries", "no-coordinates"}
    assert taught == {name: name in with_teacher for name in (*with_teacher, "alone", "network-labels")}
    trusting = {name for name, variant in trial.variants.items() if variant.config.network_labels}
    assert trusting == {"network-labels"}, "pictures without labels speak through the teacher alone"
    assert len({variant.config.stages for variant in trial.variants.values()}) == 1
    assert trial.variants["no-boundaries"].config.loss.edges == 0
    assert not any(v.config.distillation.active for v in read_trial(find_trial("distillation")).variants.values())
