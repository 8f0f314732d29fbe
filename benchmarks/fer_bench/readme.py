"""The README's figures: blocks `<!-- figures:NAME --> … <!-- /figures -->` made from result files.

A column holds our own figures or those of one other, and its head says which.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fer_bench import results
from fer_bench.ablation import FIGURES, gained_in_words, in_words
from fer_bench.pipeline import STAGES
from fer_bench.predict import derivation
from fer_bench.smoothing import held, raw_and_in_force
from fer_bench.soak.report import row_in_words
from fer_edge.contract.errors import DataError

PAGES = (Path("README.md"), Path("docs/figures.md"), Path("edge_runtime/fer_edge/models/README.md"))
"""The pages of this checkout that hold figures."""

_BLOCK = re.compile(r"<!-- figures:([\w-]+) -->.*?<!-- /figures -->", re.DOTALL)
_OPENING = re.compile(r"<!-- figures:")


def render(text: str, folder: Path) -> str:
    """A README with every block rewritten from the results in `folder`.

    Raises:
        DataError: there is no block, one is unknown or not closed, or its results are missing.
    """
    blocks = list(_BLOCK.finditer(text))
    if not blocks or len(blocks) != len(_OPENING.findall(text)):
        raise DataError("there are no blocks from <!-- figures:NAME --> to <!-- /figures -->, or one is not closed")

    def rewritten(block: re.Match[str]) -> str:
        name = block[1]
        if name not in TABLES:
            raise DataError(f"block figures:{name} is unknown; there are {', '.join(TABLES)}")
        return f"<!-- figures:{name} -->\n{TABLES[name](folder)}\n<!-- /figures -->"

    return _BLOCK.sub(rewritten, text)


def stale(text: str, folder: Path) -> list[str]:
    """Names of the blocks that `render` would change.

    Raises:
        DataError: as `render`.
    """
    pairs = zip(_BLOCK.finditer(text), _BLOCK.finditer(render(text, folder)), strict=True)
    return [old[1] for old, new in pairs if old[0] != new[0]]


def _headline(folder: Path) -> str:
    accuracy, latency = (results.read(folder / f"{name}.json") for name in ("accuracy", "latency"))
    ms = {
        latency["models"][entry["model"]]["sha256"]: entry["ms"]["p50"]
        for entry in latency["results"]
        if entry["threads"] == 1
    }
    data = accuracy["data"]
    lines = [
        f"- `{model['name']}`: **{_percent(entry['evaluation']['accuracy'])} %** of {data['split']} in int8, "
        f"{model['bytes'] / 1000:,.0f} kB, {ms[model['sha256']]:.2f} ms a face"
        for entry in accuracy["results"]
        if (model := accuracy["models"][entry["model"]])["quantization"] == "int8"
    ]
    peers, *elsewhere = _peers_results(folder)
    for clip, (peer, *ours) in _sides(peers).items():
        best = max(ours, key=lambda side: side["frames_per_s"])
        fresh, old = best["process"], peer["process"]
        others = [
            f"{side['times_peer']['p50']:.0f} on {_machine(other)}"
            for other in elsewhere
            for side in _sides(other).get(clip, ())
            if side["side"] == best["side"]
        ]
        aside = f" ({', '.join(others)})" if others else ""
        lines.append(
            f"- `{clip}`, {best['side']}: {best['frames_per_s']:,.0f} frames/s, "
            f"**{best['times_peer']['p50']:.0f} times** the {peer['frames_per_s']:.0f} of "
            f"`pip install {peer['side']}`{aside}; first result "
            f"after {fresh['first_event_ms'] / 1e3:.2f} s, not {old['first_event_ms'] / 1e3:.1f}; "
            f"{fresh['peak_memory_mb']:.0f} MB, not {old['peak_memory_mb']:.0f}"
        )
    return "\n".join(lines)


def _accuracy(folder: Path) -> str:
    content = results.read(folder / "accuracy.json")
    entries = content["results"]
    found = [entry["evaluation"] for entry in entries]
    own = [
        entry.get("versus_own_float") if content["models"][entry["model"]]["quantization"] == "int8" else None
        for entry in entries
    ]
    rows = [
        ("accuracy, %", [f"**{_percent(e['accuracy'])}**" for e in found]),
        ("95 % interval", ["{:.1f} to {:.1f}".format(*(100 * b for b in entry["accuracy_95"])) for entry in entries]),
        ("macro-F1, %", [_percent(e["macro_f1"]) for e in found]),
        ("expected calibration error, %", [_percent(e["ece"]) for e in found]),
    ]
    if any(own):
        rows += [
            (
                "same label as the network it was made from, %",
                ["" if v is None else _percent(v["agreement"]) for v in own],
            ),
            (
                "lost to that, points (95 % interval)",
                [
                    "" if v is None else "{:.2f} ({:+.2f} to {:+.2f})".format(v["drop_points"], *v["drop_points_95"])
                    for v in own
                ],
            ),
            ("McNemar's exact p of that", ["" if v is None else f"{v['mcnemar_p']:.2g}" for v in own]),
        ]
    for label, first in found[0]["classes"].items():
        recalls = [_percent(e["classes"][label]["recall"]) for e in found]
        rows.append((f"recall *{label}* ({first['support']} pictures), %", recalls))
    data = content["data"]
    about = f"{data['split']} of `{data['file']}`, {data['pictures']:,} pictures"
    return _table("ours", _model_names(content), rows) + _footer([content], about)


def _sizes(folder: Path) -> str:
    content = results.read(folder / "accuracy.json")
    models = content["models"]
    rows = [
        ("whole file, kB", [f"{model['bytes'] / 1000:.1f}" for model in models]),
        ("network, kB", [f"{model['flatbuffer_bytes'] / 1000:.1f}" for model in models]),
        ("network's sha256", [f"`{model['sha256'][:12]}`" for model in models]),
    ]
    return _table("ours", _model_names(content), rows)


def _robustness(folder: Path) -> str:
    content = results.read(folder / "robustness.json")
    conditions = dict.fromkeys(entry["condition"] for entry in content["results"])
    rows = [
        (
            f"{condition}, %",
            [
                f"{_percent(entry['accuracy'])} ({_percent(min(entry['recall'].values()))})"
                for entry in content["results"]
                if entry["condition"] == condition
            ],
        )
        for condition in conditions
    ]
    data = content["data"]
    about = (
        f"accuracy, and in brackets the lowest recall of a class, on {data['split']} of `{data['file']}`, "
        f"{data['pictures']:,} pictures"
    )
    return _table("ours", _model_names(content), rows) + _footer([content], about)


def _ablation(folder: Path) -> str:
    content = results.read(folder / "ablation.json")
    rows = []
    titles = {row["name"]: row["title"] for row in content["variants"]}
    for row in content["variants"]:
        versus = row["versus"]
        gained = f"{gained_in_words(versus)} over *{titles[versus['name']]}*" if versus else ""
        rows.append((row["title"], [str(len(row["seeds"])), *(in_words(row[name]) for name in FIGURES), gained]))
    data, versions = content["data"], content["trained_with"]
    epochs = " or ".join(map(str, sorted({row["epochs"] for row in content["variants"]})))
    about = (
        f"percent on {data['split']} of `{data['file']}`, {data['pictures']:,} pictures, in float after the last of "
        f"{epochs} epochs; mean and standard deviation over seeds, and of the gain the standard error; trained with "
        f"Keras {versions['keras']} on {versions['backend']}"
    )
    heads = ["seeds", *(f"{name}, %" for name in FIGURES.values()), "accuracy gained, points"]
    return _table("ours", heads, rows) + _footer([content], about)


def _latency(folder: Path) -> str:
    content = results.read(folder / "latency.json")
    names = _model_names(content)
    entries = content["results"]
    rows = [(f"{p}, ms", [f"{entry['ms'][p]:.3f}" for entry in entries]) for p in ("p50", "p95", "p99")]
    rows.append(("of the first", [f"{entry['ratio']['p50']:.2f}" for entry in entries]))
    heads = [f"{names[entry['model']]}, {_threads(entry['threads'])}" for entry in entries]
    return _table("ours, one face", heads, rows) + _footer([content], f"preprocessing included, {_load([content])}")


def _pipeline(folder: Path) -> str:
    contents = [results.read(path) for path in sorted(folder.glob("pipeline-*.json"))]
    if not contents:
        raise DataError(f"{folder} holds no pipeline-*.json; make it with fer-bench pipeline CLIP --json")
    loops, fresh = [c["loop"] for c in contents], [c["process"] for c in contents]
    rows = [(f"{title}, ms", [_three(loop["stages_ms"][stage]) for loop in loops]) for stage, title in STAGES.items()]
    first = [run["first_event_ms"] for run in fresh]
    rows += [
        ("frames/s, decoding left out", [f"{loop['frames_per_s']:.1f}" for loop in loops]),
        ("frames/s, decoding included", [f"{loop['frames_per_s_with_decoding']:.1f}" for loop in loops]),
        ("frames with a face", [f"{c['loop']['frames_with_face']} of {c['data']['frames']}" for c in contents]),
        ("process start to first event, ms", ["none" if value is None else f"{value:.0f}" for value in first]),
        ("peak memory, MB", [f"{run['peak_memory_mb']:.1f}" for run in fresh]),
    ]
    heads = [
        f"{c['detector']['name']}, `{c['data']['file']}` {c['data']['width']}x{c['data']['height']}" for c in contents
    ]
    counts = sorted({c["threads"]["classifier"] for c in contents})
    about = f"p50 / p95 / p99 a frame, {' or '.join(_threads(count) for count in counts)}, {_load(contents)}"
    if any(c["data"]["frames"] < 100 for c in contents):
        about += "; of fewer than 100 frames p99 is nearly the longest one's"
    return _table("ours", heads, rows) + _footer(contents, about)


def _peers_results(folder: Path) -> list[dict[str, Any]]:
    """`peers.json`, and after it what was measured on other machines, `peers-NAME.json`."""
    return [results.read(path) for path in (folder / "peers.json", *sorted(folder.glob("peers-*.json")))]


def _sides(content: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What was compared on each clip of a result of `fer-bench peers`, the peer first."""
    return {content["data"]["clips"][one["clip"]]["file"]: one["sides"] for one in content["comparisons"]}


def _peers(folder: Path) -> str:
    first, *elsewhere = _peers_results(folder)
    heads: list[str] = []
    rows = []
    for clip, sides in _sides(first).items():
        names = [side["side"] for side in sides]
        heads = [f"{name} (ours)" if number else f"{name} (the peer)" for number, name in enumerate(names)]
        fresh = [side["process"] for side in sides]
        rows += [
            (f"{clip}: frames/s, decoding left out", [f"{side['frames_per_s']:.0f}" for side in sides]),
            (f"{clip}: times the peer (range)", [_times(side["times_peer"]) for side in sides]),
        ]
        for other in elsewhere:
            by_name = {side["side"]: side for side in _sides(other).get(clip, ())}
            there = [by_name.get(name) for name in names]
            rates = [f"{side['frames_per_s']:.0f}" if side else "" for side in there]
            times = [_times(side["times_peer"]) if side else "" for side in there]
            rows += [
                (f"{clip}: frames/s on {_machine(other)}", rates),
                (f"{clip}: times the peer on {_machine(other)}", times),
            ]
        rows += [
            (f"{clip}: first result, s", [f"{run['first_event_ms'] / 1e3:.2f}" for run in fresh]),
            (f"{clip}: peak memory, MB", [f"{run['peak_memory_mb']:.0f}" for run in fresh]),
        ]
    about = "the same frames in the same run, in turn, each side with its own defaults"
    return _table("", heads, rows) + _footer([first, *elsewhere], about)


def _smoothing(folder: Path) -> str:
    content = results.read(folder / "smoothing.json")
    sequence, present = content["sequence"], content["in_force"]
    rows = []
    for hold_s, *entries in raw_and_in_force(content):
        cells = [
            f"{entry['false_switches_per_min']:.1f}; "
            + ("never" if entry["delay_s"] is None else f"{entry['delay_s']['p50']:.2f} s")
            for entry in entries
        ]
        rows.append((f"{held(hold_s)}: false switches a minute; delay of a true one", cells))
    data = content["data"]
    about = (
        f"{sequence['minutes']:g} minutes of pictures of `{data['file']}`, {data['split']}, drawn by label, "
        f"{sequence['fps']:g} frames/s; smoothed with "
        + ", ".join(f"`{key} = {value:g}`" for key, value in present.items())
    )
    return _table("ours", ["each frame by itself", "smoothed"], rows) + _footer([content], about)


def _predict(folder: Path) -> str:
    content = results.read(folder / "predict.json")
    here, boards = content["here"]["stages_ms"], content["boards"]
    rows = [
        (f"{STAGES[stage]}, ms", [f"{ms:.2f}", *(_between(board["stages_ms"][stage], 1) for board in boards)])
        for stage, ms in here.items()
    ]
    rows.append(("frames/s", [f"{1e3 / here['total']:.0f}", *(_between(board["frames_per_s"], 0) for board in boards)]))
    heads = ["measured here", *(f"{board['name']}, predicted" for board in boards)]
    about = f"{content['detector']['name']}; {' '.join(derivation(content)).rstrip('.')}"
    return _table("ours", heads, rows) + _footer([content], about)


def _reliability(folder: Path) -> str:
    content = results.read(folder / "reliability.json")
    rows = [row_in_words(row) for row in content["scenarios"]]
    share = content["data"]["scale"]
    about = "`fer-bench soak`" + ("" if share == 1 else f", {share:g} of the full number of attempts")
    return _table("broken on purpose", ["times", "promised", "seen"], rows) + _footer(
        [content], f"{about}; {_load([content])}"
    )


def _between(bounds: dict[str, float], digits: int) -> str:
    return f"{bounds['low']:.{digits}f} to {bounds['high']:.{digits}f}"


TABLES: dict[str, Callable[[Path], str]] = {
    "headline": _headline,
    "accuracy": _accuracy,
    "robustness": _robustness,
    "ablation": _ablation,
    "sizes": _sizes,
    "latency": _latency,
    "pipeline": _pipeline,
    "peers": _peers,
    "smoothing": _smoothing,
    "predict": _predict,
    "reliability": _reliability,
}
"""What can stand in a block, by its name."""


def _table(corner: str, heads: Iterable[str], rows: Iterable[tuple[str, list[str]]]) -> str:
    heads = list(heads)
    lines = [[corner, *heads], ["---", *("--:" for _ in heads)], *([title, *cells] for title, cells in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _footer(contents: list[dict[str, Any]], about: str) -> str:
    """Where the figures come from, in one line below a table."""
    sources = []
    for content in contents:
        versions = content["versions"]
        runtime = next((f"{p} {versions[p]}" for p in ("ai-edge-litert", "tflite-runtime") if p in versions), "")
        source = (
            f"measured {content['date'][:10]} on {_machine(content)}, {content['machine']['cores']} cores, "
            f"{content['machine']['architecture']}, Python {versions['python']}, OpenCV {versions['opencv']}, {runtime}"
        )
        if source not in sources:
            sources.append(source)
    return f"\n\n<sub>{about}; {'; '.join(sources)}</sub>"


def _machine(content: dict[str, Any]) -> str:
    return str(content["machine"]["board"] or content["machine"]["cpu"])


def _load(contents: list[dict[str, Any]]) -> str:
    # Times mean little on a machine that is busy with something else, and the reader cannot know.
    return f"other load of the machine up to {max(content['machine']['load_1min'] for content in contents):.1f}"


def _model_names(content: dict[str, Any]) -> list[str]:
    return [f"{model['name']} {model['quantization']}" for model in content["models"]]


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _three(figures: dict[str, float]) -> str:
    return " / ".join(f"{figures[p]:.2f}" for p in ("p50", "p95", "p99"))


def _times(ratio: dict[str, float]) -> str:
    return f"{ratio['p50']:.1f} ({ratio['low']:.1f} to {ratio['high']:.1f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
