"""`fer-convert`: a trained network becomes a model file."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fer_convert import calibration as calibrations
from fer_convert import source as sources
from fer_convert.mirroring import mirrored
from fer_convert.temperature import ENOUGH, LIMITS, fit, last_linear, scale
from fer_edge.contract.commands import Command
from fer_edge.contract.errors import DataError, MissingExtraError, QualityError, UsageError
from fer_edge.contract.files import write_text
from fer_edge.contract.flatbuffer import MAX_TENSOR_BYTES
from fer_train.datasets import SPLITS, Dataset, Reading, in_labels
from fer_train.datasets import load as load_data
from fer_train.quiet import quiet

if TYPE_CHECKING:
    import keras

    from fer_convert.conversion import Conversion, Converter
    from fer_train.datasets.records import Split

REPORT = "conversion.json"
PAGE = "conversion.html"


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fer-edge", prog_name="fer-convert")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--int8", is_flag=True, help="Everything in int8: what the Pi runs, and the default.")
@click.option("--float32", is_flag=True, help="Everything in float32.")
@click.option("--float16", is_flag=True, help="Weights in float16, computed in float32.")
@click.option("--dynamic", is_flag=True, help="Weights in int8, activations in float32.")
@click.option(
    "--data", type=click.Path(path_type=Path), multiple=True,
    help="Data set to compare on, and to calibrate with; by default the one the run was trained on.",
)  # fmt: skip
@click.option(
    "--calibration", type=click.Path(path_type=Path),
    help="Another data set to calibrate with: a sample of its Training pictures is taken.",
)  # fmt: skip
@click.option(
    "--max-drop", type=click.FloatRange(min=0.0), default=0.5, show_default=True, metavar="POINTS",
    help="Refuse a model that loses more accuracy than so many percentage points.",
)  # fmt: skip
@click.option(
    "--temperature", type=click.FloatRange(*LIMITS), metavar="T",
    help="Divide the logits by T.  [default: what fits the pictures that the recipe held out, else 1]",
)  # fmt: skip
@click.option(
    "--mirror/--no-mirror",
    default=None,
    help="Average a picture and its mirror image, in twice the time.  [default: as the recipe says]",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every random choice.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="File to write, or a folder; by default model.KIND.tflite in the run folder.",
)  # fmt: skip
def main(
    *, model: Path | None, int8: bool, float32: bool, float16: bool, dynamic: bool, data: tuple[Path, ...],
    calibration: Path | None, max_drop: float, temperature: float | None, mirror: bool | None,
    seed: int, output: Path | None,
) -> None:  # fmt: skip
    """Convert MODEL, a run folder of fer-train or a .keras file, to a TFLite model file.

    MODEL is by default the newest run in runs/. The finished file is compared with the float network
    picture by picture; conversion.json beside it says all that was found, a page of HTML shows it.

    \b
    fer-convert runs/mini-1 --int8
    """
    asked = {"int8": int8, "float32": float32, "float16": float16, "dynamic": dynamic}
    kinds = [kind for kind, wanted in asked.items() if wanted] or ["int8"]
    source = sources.find(model)
    paths = _outputs(source, kinds, output)
    click.echo(f"Converting {source.weights} to {', '.join(kinds)}", err=True)
    converter = _prepare(source, data, calibration, temperature, seed,
                         mirror=source.mirror if mirror is None else mirror)  # fmt: skip
    _check_size(converter.network.count_params(), kinds)
    done = [_convert(converter, kind) for kind in kinds]
    for conversion in done:
        drop = conversion.comparison.drop
        if drop > max_drop:
            raise QualityError(
                f"the {conversion.kind} model loses {drop:.2f} points of accuracy on {conversion.comparison.split}, "
                f"more than --max-drop {max_drop:g}; nothing was written"
            )
    _write(converter, done, paths, max_drop)


_BYTES = {"float32": 4, "float16": 6}
"""A parameter's, as `check_network` counts them: those of float16 are there twice, the second time in float32."""


def _check_size(parameters: int, kinds: list[str]) -> None:
    """Refuse before the work what the runtime would refuse after it.

    Raises:
        UsageError: a network of that kind would be too large.
    """
    for kind in kinds:
        if parameters * _BYTES.get(kind, 1) > MAX_TENSOR_BYTES:
            raise UsageError(
                f"the network has {parameters:,} parameters, which is too much for a {kind} model file; convert it "
                "with --int8"
            )


def _outputs(source: sources.Source, kinds: list[str], output: Path | None) -> list[Path]:
    paths = [source.output(kind) for kind in kinds]
    if output is not None and output.is_dir():
        paths = [output / path.name for path in paths]
    elif output is not None:
        if len(kinds) > 1:
            raise UsageError(f"-o {output} is one file and {len(kinds)} are to be written; give -o an existing folder")
        if output.suffix != ".tflite":
            raise UsageError(f"-o {output} is neither an existing folder nor a file name that ends in .tflite")
        paths = [output]
    folder = paths[0].parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"folder {folder} does not exist or cannot be written to; give another with -o")
    return paths


def _fitted(network: keras.Model, held_out: Split) -> float:
    """What to divide the logits by: of the network as it is converted, since a mean of two answers is less sure."""
    from fer_convert.conversion import float_probabilities

    if len(held_out) < ENOUGH:
        click.echo(
            f"{len(held_out)} pictures held out are too few to fit a temperature on: logits as they are", err=True
        )
        return 1.0
    temperature = fit(float_probabilities(network, held_out.images), held_out.labels)
    click.echo(f"Dividing the logits by {temperature:.3f}, fitted on {len(held_out):,} pictures held out", err=True)
    return temperature


def _prepare(
    source: sources.Source, data: tuple[Path, ...], calibration: Path | None, temperature: float | None, seed: int,
    *, mirror: bool,
) -> Converter:  # fmt: skip
    paths = data or source.data or ((calibration,) if calibration else ())
    gone = [str(path) for path in paths if not path.exists()]
    if not paths or (not data and gone):
        missing = f"the data set {gone[0]} that the run was trained on is gone" if gone else "no data set is known"
        raise DataError(f"{missing}: name it with --data PATH (and pictures to calibrate with by --calibration PATH)")
    if find_spec("tensorflow") is None:
        raise MissingExtraError("fer-convert", "train")
    divided = source.load(*paths)
    known = divided if calibration is None else _read_calibration(calibration, divided)
    name = source.training_split if calibration is None else SPLITS[0]
    drawn = calibrations.draw(known.split(name), name=name, classes=len(known.labels), seed=seed)
    _import_tensorflow()
    from fer_convert.conversion import Converter, check_fit, float_probabilities

    network, digest = sources.load_network(source.weights)
    check_fit(network, divided, str(source.weights))
    check_fit(network, known, str(source.weights))
    held_out = source.held_out(divided)
    if temperature is None and held_out is not None and last_linear(network) is not None:
        temperature = _fitted(mirrored(network) if mirror else network, held_out)
    temperature = temperature or 1.0
    network = scale(network, temperature)
    if mirror:
        network = mirrored(network)
    validation = divided.split(source.validation_split)
    click.echo(f"Calibrating with {len(drawn.images)} pictures of {known.source}, {name}", err=True)
    return Converter(
        source=source, network=network, temperature=temperature, mirrored=mirror, weights_sha256=digest,
        labels=_labels(source, divided), calibration=drawn, validation=validation,
        before=float_probabilities(network, validation.images), seed=seed,
    )  # fmt: skip


def _read_calibration(path: Path, data: Dataset) -> Dataset:
    """Pictures to calibrate with, of the size, the grey levels and the labels of `data`."""
    like = data.reading or Reading()
    found = load_data(path, reading=Reading(label_map=like.label_map, grey=like.grey, side=like.side))
    return in_labels(found, data.labels)[0]


def _labels(source: sources.Source, data: Dataset) -> tuple[str, ...]:
    if source.run is not None and source.run.labels != data.labels:
        raise DataError(f"{data.source} has the labels {data.labels}, the run {source.run.labels}")
    return data.labels


def _import_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # the converter reads TensorFlow graphs only
    click.echo("Loading TensorFlow", err=True)
    with quiet(replay=True):
        import tensorflow  # noqa: F401


def _convert(converter: Converter, kind: str) -> Conversion:
    from fer_convert import report

    with click.progressbar(
        length=len(converter.validation), label=f"Converting and checking {kind}", file=sys.stderr
    ) as bar:
        conversion = converter.convert(kind, on_picture=bar.update)
    click.echo(f"\n{report.table(conversion)}\n\n{report.contents(conversion)}\n")
    return conversion


def _write(converter: Converter, done: list[Conversion], paths: list[Path], max_drop: float) -> None:
    from fer_convert.report import write_page

    report = paths[0].with_name(REPORT)
    kinds = [conversion.kind for conversion in done]
    # The page of the int8 file, which is looked at, stays when another kind is made later.
    page = report.with_name(PAGE if "int8" in kinds else f"{report.stem}-{'-'.join(kinds)}.html")
    previous = _previous(report)
    found = {
        conversion.kind: {"file": path.name, **conversion.report()}
        for conversion, path in zip(done, paths, strict=True)
    }
    # What was said of other kinds of the same weights still holds.
    others = {
        kind: said
        for kind, said in (previous or {}).items()
        if isinstance(said, dict) and said.get("facts", {}).get("weights_sha256") == converter.weights_sha256
    }
    try:
        for conversion, path in zip(done, paths, strict=True):
            conversion.model.write(path)
        write_text(report, json.dumps({**others, **found}, indent=2) + "\n")
        write_page(page, converter, done, paths, max_drop=max_drop, previous=previous)
    except OSError as error:
        raise UsageError(
            f"{report.parent} cannot be written to ({error.strerror}); give another place with -o"
        ) from error
    for conversion, path in zip(done, paths, strict=True):
        before, after = conversion.comparison.before, conversion.comparison.after
        click.echo(
            f"{path}: {path.stat().st_size / 1000:.1f} kB, network {len(conversion.model.flatbuffer) / 1000:.1f} kB, "
            f"accuracy {100 * before.accuracy:.2f} % float, {100 * after.accuracy:.2f} % {conversion.kind}"
        )
    click.echo(f"{report}: every operator, tensor and figure")
    click.echo(f"{page}: the same to look at")


def _previous(report: Path) -> dict[str, Any] | None:
    """The report that is about to be replaced, where there is one that can be read."""
    try:
        found = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
