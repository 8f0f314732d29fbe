"""Results as one HTML file: measured here and now, for people to send in, or from files that were measured before.

Whatever the page shows lies in it as JSON, too: the content of its `<script id="results">`.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_bench import accuracy, latency, pipeline, results
from fer_bench.peers import DEMO, write_demo
from fer_edge.contract.errors import FerError, MissingExtraError
from fer_edge.contract.files import write_text
from fer_edge.faces.weights import find_yunet
from fer_edge.health import read_health
from fer_train import page, plots
from fer_train.evaluation import Evaluation
from fer_train.page import Html

KINDS = {
    "latency": "The classifier alone",
    "pipeline": "The whole loop on a clip",
    "accuracy": "Accuracy",
    "robustness": "Other boxes, other light",
    "ablation": "What each ingredient of the training gave",
    "scene": "Faces in a scene",
    "recall": "Faces found",
    "framing": "Framing of the crop",
    "smoothing": "Smoothing over time",
    "scaling": "Cost by number of faces",
    "growth": "Memory over time",
    "preview": "What the live page costs",
    "peers": "Beside others",
    "predict": "Predictions for boards nobody has measured",
    "reliability": "What it survives",
}
"""Kinds of results in the order in which they are shown, and their headings; others follow as plain JSON."""

_MODULES = {"reliability": "soak.report"}


def measure(
    environment: dict[str, Any], models: Sequence[Path], clip: Path | None, *, rounds: int, max_frames: int,
    on_part: Callable[[str], None] = lambda _: None,
) -> tuple[list[dict[str, Any]], list[str]]:  # fmt: skip
    """Measure what a board's owner would like to know, in a few minutes: classifier, loop and process.

    Args:
        environment: as `fer_bench.environment.environment` found it.
        models: model files; the loop runs with the first.
        clip: a video; None is the moving demo face.
        rounds: of everything, at least 1.
        max_frames: of the clip, at most.
        on_part: called with the name of each part before it begins.

    Returns:
        Results as `results.write` takes them, and a sentence for each part that could not be measured.
    """
    found, missing = [], []
    on_part("classifier")
    content = latency.measure(models, [1, 2], rounds=rounds, invokes=200)
    found.append(results.result("latency", environment, **content))
    with tempfile.TemporaryDirectory(prefix="fer-bench-") as folder:
        for detector in ("yunet", "haar") if find_yunet() else ("haar",):
            on_part(f"loop, {detector}")
            try:
                shown = clip or write_demo(Path(folder) / f"{DEMO}.mkv", max_frames)
                content = pipeline.measure(
                    shown, detector=detector, model=models[0], settings_file=None, max_frames=max_frames, rounds=rounds
                )  # fmt: skip
                found.append(results.result("pipeline", environment, **content))
            except FerError as error:
                missing.append(f"The loop with {detector} was not measured: {error}.")
    if not find_yunet():
        missing.append("The loop with yunet was not measured: its weights are absent; run: fer-edge model pull yunet.")
    return found, missing


def health() -> dict[str, Any]:
    """Temperature and throttling of the board, where it knows them."""
    found = read_health()
    return {
        "temperature_c": found.temperature_c,
        "throttled": None if found.throttled is None else f"0x{found.throttled:x}",
        "slowed": found.slowed,
        "under_voltage": found.under_voltage,
    }


def write(
    path: Path, found: Sequence[dict[str, Any]], *, missing: Sequence[str] = (),
    health: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:  # fmt: skip
    """Write results as a page, and beside it, under the same name, as JSON.

    What lay there before is what the page compares with.

    Args:
        path: HTML file to write.
        found: results, one or more.
        missing: sentences on what could not be measured.
        health: of the board, `before` and `after` the measurement.

    Raises:
        DataError: a file cannot be written.
    """
    beside = path.with_suffix(".json")
    content = {"format": results.FORMAT, "kind": "report", "health": health, "missing": list(missing),
               "results": list(found)}  # fmt: skip
    before = _previous(beside)
    machine = found[0]["machine"]
    board = machine["board"] or machine["cpu"]
    if importlib.util.find_spec("matplotlib") is None:
        missing = [*missing, "Plots are left out, since matplotlib is not installed here; run: pip install matplotlib."]
    sections = [page.section("Machine", _machine(found, health), *(page.paragraph(text) for text in missing))]
    for kind in dict.fromkeys([*KINDS, *(result["kind"] for result in found)]):
        shown = [result for result in found if result["kind"] == kind]
        if shown:
            pieces = [piece for result in shown for piece in _pieces(result)]
            sections.append(page.section(KINDS.get(kind, kind), *pieces))
    sections.append(page.section("Compared with the report before", _compared(found, before)))
    sections.append(page.embedded("results", content))
    page.write(path, f"fer-edge on {board}", _lead(found), sections)
    write_text(beside, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _lead(found: Sequence[dict[str, Any]]) -> str:
    said = [
        f"{result['loop']['frames_per_s']:.0f} frames/s of {result['data']['file']} with {result['detector']['name']}"
        for result in found
        if result["kind"] == "pipeline"
    ]
    date = max(result["date"] for result in found)[:10]
    return (
        f"Measured by {date}{': ' if said else ''}{', '.join(said)}. "
        "No name of a user, host or folder and no picture of a camera is in this file."
    )


def _machine(found: Sequence[dict[str, Any]], health: Mapping[str, Mapping[str, Any]] | None) -> Html:
    machine, versions = found[0]["machine"], found[0]["versions"]
    state = {
        f"{key.replace('_', ' ').replace(' c', ', degrees Celsius')}, {when}": "-" if value is None else value
        for when, values in (health or {}).items()
        for key, value in values.items()
    }
    models = {model["sha256"]: model for result in found for model in result["models"]}
    return page.facts(
        {
            "board": machine["board"],
            "processor": f"{machine['cpu']}, {machine['cores']} cores, {machine['architecture']}",
            "memory": f"{machine['memory_mb']:,} MB",
            "system": machine["os"],
            "other load": f"up to {max(result['machine']['load_1min'] for result in found):g} processes",
            "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
            "commit": found[0]["commit"],
            **{
                f"model {model['name']} {model['quantization']}": f"{model['file']}, {model['bytes'] / 1000:.1f} kB, "
                f"sha256 {digest}"
                for digest, model in models.items()
            },
            **state,
        }
    )


def _pieces(result: dict[str, Any]) -> Iterable[Html]:
    benchmark = None
    if result["kind"] in KINDS:
        benchmark = importlib.import_module(f"fer_bench.{_MODULES.get(result['kind'], result['kind'])}")
    if benchmark is None:
        text = json.dumps(result, indent=1, ensure_ascii=False)
    elif benchmark in (accuracy, latency):
        text = benchmark.table(result, [Path(model["file"]) for model in result["models"]])
    else:
        text = benchmark.table(result)
    yield page.preformatted(text)
    if hasattr(benchmark, "plot"):
        yield _drawn(lambda to: benchmark.plot(to, result), f"plot: {KINDS[result['kind']]}")
    if benchmark is accuracy:
        yield from _evaluations(result)
    yield page.folded(
        "how it was measured",
        page.facts(
            {"command": result["command"], "date": result["date"], "threads": json.dumps(result["threads"]),
             "data": json.dumps(result["data"])}
        ),
    )  # fmt: skip


def _evaluations(result: dict[str, Any]) -> Iterable[Html]:
    """Which expressions are taken for which, and how sure each model is of it."""
    for entry in result["results"]:
        name, found = results.letter(entry["model"]), Evaluation.from_dict(entry["evaluation"])
        title = f"{name} on {result['data']['split']}"
        yield page.folded(
            f"{name}: confusion matrix and calibration",
            _drawn(
                functools.partial(plots.confusion_matrix, evaluation=found, title=title),
                f"confusion matrix of {name}, counts and shares of the true class",
            ),
            _drawn(
                functools.partial(plots.reliability, evaluations={name: found}, title=f"{title}: how sure, how right"),
                f"share of right answers of {name} over their confidence, in 15 bins",
            ),
        )


def _drawn(draw: Callable[[io.BytesIO], None], alt: str) -> Html:
    stream = io.BytesIO()
    try:
        draw(stream)
    except MissingExtraError:
        return Html()
    return page.picture(stream.getvalue(), alt)


def _previous(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["results"]
        return [result for result in found if result["format"] == results.FORMAT]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def headlines(found: Iterable[dict[str, Any]]) -> dict[str, float]:
    """The few figures that reports are compared by, by name: times in ms, rates in 1/s, memory in MB."""
    said: dict[str, float] = {}
    for result in found:
        if result["kind"] == "latency":
            for entry in result["results"]:
                model = result["models"][entry["model"]]
                name = f"classifier {model['name']} {model['quantization']}, {entry['threads']} threads: p50, ms"
                said[name] = entry["ms"]["p50"]
        elif result["kind"] == "pipeline":
            name = f"{result['detector']['name']}, {result['data']['file']}"
            said[f"{name}: frames/s"] = result["loop"]["frames_per_s"]
            said[f"{name}: whole loop p95, ms"] = result["loop"]["stages_ms"]["total"]["p95"]
            said[f"{name}: peak memory, MB"] = result["process"]["peak_memory_mb"]
        elif result["kind"] == "accuracy":
            for entry in result["results"]:
                model = result["models"][entry["model"]]
                name = f"{model['name']} {model['quantization']}, {result['data']['split']}: accuracy, %"
                said[name] = 100 * entry["evaluation"]["accuracy"]
    return said


def _compared(found: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]]) -> Html:
    try:
        then = headlines(before)
    except (KeyError, TypeError, IndexError):
        then = {}  # of another version
    rows = [
        (name, f"{then[name]:.2f}", f"{value:.2f}", f"{value / then[name]:.2f}" if then[name] else "-")
        for name, value in headlines(found).items()
        if name in then
    ]
    if not rows:
        return page.paragraph("There was none of the same things under this name.")
    return page.table(["", "then", "now", "times"], rows)
