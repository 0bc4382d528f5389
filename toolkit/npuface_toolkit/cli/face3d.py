"""`npuface face3d`, `reconstruct` and `render`: the 3D face model."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from npuface_runtime.errors import UserError
from npuface_toolkit.cli.console import JsonOption, output, table

face3d = typer.Typer(
    help="The 3D face model: procedural heads, training, accuracy.\n\n"
    "Example: npuface face3d train --heads heads.safetensors --out face.safetensors",
    no_args_is_help=True,
)
_IDENTITY = "Weights of an identity encoder: KIND:FILE, KIND one of mobilefacenet, light-cnn, vgg-face."


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(face3d, name="face3d")
    app.command()(reconstruct)
    app.command()(render)


@face3d.command()
def heads(
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write.")],
    count: Annotated[int, typer.Option("--heads", min=1, help="How many heads.")] = 1600,
    views: Annotated[int, typer.Option("--views", min=1, help="Pictures of each.")] = 4,
    size: Annotated[int, typer.Option("--size", min=16, max=512, help="Side of a picture in pixels.")] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of shapes, looks and poses.")] = 1,
    max_yaw: Annotated[float, typer.Option("--max-yaw", min=0, max=180, help="Degrees to either side.")] = 60,
    max_pitch: Annotated[float, typer.Option("--max-pitch", min=0, max=60, help="Degrees up and down.")] = 25,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Draw the first heads: FILE.png.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw procedural heads from several sides, with their pose, depth, silhouette, landmarks and inside.

    Example: npuface face3d heads --heads 1600 --out heads.safetensors
    """
    import logging

    from npuface_benchmarks.draw import encode_picture
    from npuface_benchmarks.files import check_writable, write_all
    from npuface_toolkit.face3d.head_views import make_views, save_views, stacked
    from npuface_toolkit.face3d.heads_sheet import heads_sheet

    log = logging.getLogger("npuface.heads")
    with output(as_json, "drawing heads") as result:
        for file in (out, sheet):
            if file is not None:
                check_writable(file)
        made = []
        for number, head in enumerate(make_views(count, views, size, seed, max_yaw, max_pitch)):
            made.append(head)
            if (number + 1) % 100 == 0:
                log.info("%d of %d heads", number + 1, count)
        save_views(out, stacked(made))
        if sheet:
            write_all(sheet.parent, {sheet.name: encode_picture(heads_sheet(seed), ".png")})
        data = {"file": str(out), "heads": count, "views": views, "bytes": out.stat().st_size}
        result.result(data, table(str(out), tuple(data), [tuple(data.values())]))


@face3d.command()
def train(
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write; card and sheets lie beside it.")],
    heads: Annotated[Path | None, typer.Option("--heads", help="Procedural heads, from npuface face3d heads.")] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="FORMAT:FILE[:PICTURES_DIR] of faces with 68 points. Repeatable.")
    ] = None,
    config: Annotated[str, typer.Option("--config", help="A TOML file, or a shipped one.")] = "face3d-heads",
    identity: Annotated[str | None, typer.Option("--identity", help=_IDENTITY)] = None,
    as_json: JsonOption = False,
) -> None:
    """Train the 3D model. A killed run goes on where it was when the same command runs again.

    Example: npuface face3d train --heads heads.safetensors --data points:faces.csv:pictures --out face.safetensors
    """
    from npuface_toolkit.face3d.config import read_face3d_config
    from npuface_toolkit.face3d.head_views import load_views
    from npuface_toolkit.face3d.identity_encoder import open_identity_encoder
    from npuface_toolkit.face3d.training_run import train_face3d
    from npuface_toolkit.training_run import find_config

    with output(as_json, "training") as result:
        command = shlex.join(["npuface", *(out.name if word == str(out) else word for word in sys.argv[1:])])
        encoder = open_identity_encoder(identity) if identity else None
        known = load_views(heads) if heads else None
        model = train_face3d(known, data or [], read_face3d_config(find_config(config)), out, command, encoder)
        if model is None:  # not the first of several processes: it says nothing
            raise typer.Exit
        facts = {"checkpoint": str(out), "hours": model.facts["hours"]}
        result.result(facts, table(str(out), tuple(facts), [tuple(facts.values())]))


@face3d.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="A checkpoint, or face3d-heads.")],
    heads: Annotated[
        Path | None, typer.Option("--heads", help="Procedural heads: of another --seed than those of training.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", help="FORMAT:FILE[:PICTURES_DIR] of faces with 68 points. Repeatable.")
    ] = None,
    held_out: Annotated[
        float | None, typer.Option("--held-out", help="Only the heads and people that training with this held out.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="At most so many heads, and faces, spread evenly.")] = 100,
    identity: Annotated[str | None, typer.Option("--identity", help=f"The judge of --data. {_IDENTITY}")] = None,
    fit_identity: Annotated[
        bool, typer.Option("--fit-identity", help="Let the judge's network take part in the fit, too; it is said.")
    ] = False,
    sheet: Annotated[Path | None, typer.Option("--sheet", help="Draw faces and their heads by yaw: FILE.png.")] = None,
    int8: Annotated[
        str | None, typer.Option("--int8", help="Quantize the renderer of each face of --data for this target.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Reconstruct heads and faces, and compare them with the truth, or with themselves by a judge of identities.

    Example: npuface face3d evaluate face3d-heads --heads others.safetensors
    """
    from npuface_toolkit.face3d.evaluation import evaluate_face3d

    with output(as_json, "evaluating") as result:
        found = evaluate_face3d(model, heads, data or [], held_out, most, identity, fit_identity, sheet, int8)
        rows = [(part, name, _shown(value)) for part, record in found.items() for name, value in record.items()]
        result.result(found, table(model, ("on", "what", "value"), rows))


@face3d.command("light-field")
def light_field(
    model: Annotated[str, typer.Argument(help="A checkpoint of the 3D model: the teacher.")],
    codes: Annotated[Path, typer.Option("--codes", help="The head, from npuface reconstruct.")],
    out: Annotated[Path, typer.Option("--out", help="The .safetensors file to write.")],
    points: Annotated[int, typer.Option("--points", min=2, max=16, help="Points of a ray that enter.")] = 3,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Of the distillation.")] = 10000,
    as_json: JsonOption = False,
) -> None:
    """Distil one head into a light field: a renderer that looks at whole rays and costs a fraction.

    Example: npuface face3d light-field face3d-heads --codes face.codes.safetensors --out light.safetensors
    """
    from npuface_toolkit.face3d.codes_file import load_codes
    from npuface_toolkit.face3d.face3d_checkpoint import load_face3d
    from npuface_toolkit.face3d.light_field import LightFieldConfig, distil
    from npuface_toolkit.face3d.renderer_network import save_light_field
    from npuface_toolkit.training_run import check_out

    with output(as_json, "distilling") as result:
        check_out(out)
        if out.resolve() == codes.resolve():
            raise UserError(f"cannot write {out}", "the codes lie there", "name another file")
        generator = load_face3d(model).generator
        rays = replace(generator.config.rays, samples=points)
        field, found = distil(generator, load_codes(codes, generator.config), LightFieldConfig(rays, steps=steps))
        save_light_field(out, field, found)
        data = {"checkpoint": str(out)} | found
        result.result(data, table(str(out), tuple(data), [tuple(data.values())]))


@face3d.command()
def bench(
    model: Annotated[str, typer.Argument(help="A checkpoint, or face3d-heads.")],
    codes: Annotated[Path, typer.Option("--codes", help="The head, from npuface reconstruct.")],
    light_field: Annotated[Path | None, typer.Option("--light-field", help="A light field of that head.")] = None,
    target: Annotated[str, typer.Option("--target", help="A CPU target, whose engine runs here.")] = "onnxruntime-cpu",
    runs: Annotated[int, typer.Option("--runs", min=1, help="Rounds in which each takes its turn.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """Time the exported renderer and its light field beside the plain torch renderer, on one thread, in turns.

    Example: npuface face3d bench face3d-heads --codes face.codes.safetensors --light-field light.safetensors
    """
    from npuface_toolkit.face3d.renderer_bench import bench_renderers

    with output(as_json, "timing renderers") as result:
        rows = [asdict(row) for row in bench_renderers(model, codes, light_field, target, runs)]
        shown = table("One picture, pose to RGB, one thread", tuple(rows[0]), [tuple(row.values()) for row in rows])
        result.result({"renderers": rows}, shown)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list | tuple):
        return ", ".join(f"{part:.3f}" for part in value)
    return ", ".join(f"{key}: {part:.3f}" for key, part in value.items()) if isinstance(value, dict) else str(value)


def reconstruct(
    picture: Annotated[Path, typer.Argument(help="A picture with a face.")],
    out: Annotated[Path, typer.Option("--out", help="The mesh: .glb, .obj or .ply; a turntable .png lies beside it.")],
    model: Annotated[str, typer.Option("--model", help="A checkpoint of the 3D model.")] = "face3d-heads",
    landmarks: Annotated[str, typer.Option("--landmarks", help="A checkpoint with 68 landmarks.")] = "student-68",
    detector: Annotated[
        str, typer.Option("--detector", help="A checkpoint, a detector's bundle, cascade, YuNet or UltraFace ONNX.")
    ] = "detector-320",
    identity: Annotated[str | None, typer.Option("--identity", help=f"Take part in the fit. {_IDENTITY}")] = None,
    steps: Annotated[int, typer.Option("--steps", min=0, max=5000, help="Of the fit; 0 keeps the first guess.")] = 100,
    resolution: Annotated[int, typer.Option("--resolution", help="Samples a side of the mesh's grid.")] = 96,
    as_json: JsonOption = False,
) -> None:
    """Turn one picture into a 3D head: a mesh with colours, and a turntable picture.

    Example: npuface reconstruct photo.jpg --out face.glb
    """
    from npuface_toolkit.face3d.photo_to_mesh import photo_to_mesh

    with output(as_json, "reconstructing") as result:
        made = photo_to_mesh(picture, out, model, landmarks, detector, identity, steps, resolution)
        data = asdict(made)
        result.result(data, table(str(out), ("what", "value"), [(key, _shown(value)) for key, value in data.items()]))


def render(
    bundle: Annotated[Path, typer.Argument(help="A renderer's bundle, from npuface export --part renderer.")],
    out: Annotated[Path, typer.Option("--out", help="FILE.png, or FILE.mp4 of the turn.")],
    yaw: Annotated[str, typer.Option("--yaw", help="Degrees, or FROM..TO.")] = "-30..30",
    pitch: Annotated[float, typer.Option("--pitch", help="Degrees, up is positive.")] = 0.0,
    frames: Annotated[int, typer.Option("--frames", min=1, max=10_000, help="Pictures from FROM to TO.")] = 9,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the head, where the bundle takes codes.")] = 0,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads of the engine.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Render a head from several sides with the runtime alone, as a device does.

    Example: npuface render bundle --yaw -30..30 --out turn.png
    """
    from npuface_toolkit.face3d.turn import render_turn

    with output(as_json, "rendering") as result:
        data = render_turn(bundle, out, yaw, pitch, frames, seed, threads)
        result.result(data, table(str(out), ("what", "value"), [(key, str(value)) for key, value in data.items()]))
