"""What one classification costs: preprocessing, the network and the way out, without the rest of the loop."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fer_bench import plots
from fer_bench.environment import model_facts
from fer_bench.results import legend, letter
from fer_bench.statistics import percentiles
from fer_edge.expressions import litert
from fer_edge.expressions.litert import LiteRtClassifier

SEED = 0
SYNTHETIC = 32
WARM_UP = 50
DISTRIBUTION = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9, 100)
"""Percentiles over all rounds together, disturbed ones too."""

DASHES = ("-", "--", ":", "-.")
"""Lines of one model share a colour; these tell its numbers of threads apart."""


def measure(
    models: Sequence[Path], threads: Sequence[int], *, rounds: int, invokes: int,
    on_round: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:  # fmt: skip
    """Time every model with every number of threads, in turn within each round.

    All configurations of a round meet the same machine, so ratios hold even where it is busy.

    Args:
        models: model files, quantized or not; ratios are to the first with the first number of threads.
        threads: numbers of threads of the runtime.
        rounds: at least 1.
        invokes: classifications of each configuration in each round, at least 1.
        on_round: called with the number of rounds since the last call.

    Returns:
        The content of a latency result: `threads`, `data`, `models`, `results`.

    Raises:
        ModelFileError: a file cannot be used.
    """
    pairs = list(itertools.product(enumerate(models), threads))
    classifiers = [litert.load(path, threads=count, allow_float=True) for (_, path), count in pairs]
    pictures = [inputs(classifier) for classifier in classifiers]
    for classifier, pool in zip(classifiers, pictures, strict=True):
        time_invokes(classifier, pool, WARM_UP)
    took = np.empty((len(pairs), rounds, invokes))
    for turn in range(rounds):
        # Whoever comes first after another's work pays for cold caches: take turns.
        for number in np.roll(np.arange(len(pairs)), -turn):
            took[number, turn] = time_invokes(classifiers[number], pictures[number], invokes)
        on_round(1)
    medians = np.median(took, axis=2)
    ratios = medians / medians[0]
    digest = hashlib.sha256(b"".join(pool.tobytes() for pool in pictures[:: len(threads)]))
    return {
        "threads": {"classifier": list(threads)},
        "data": {"synthetic": SYNTHETIC, "seed": SEED, "golden": True, "sha256": digest.hexdigest()},
        "models": [
            model_facts(path, classifier.model)
            for path, classifier in zip(models, classifiers[:: len(threads)], strict=True)
        ],
        "rounds": rounds,
        "invokes": invokes,
        "results": [
            {
                "model": model,
                "threads": count,
                "ms": percentiles(took[number]),
                "distribution_ms": [
                    [percentile, round(float(value), 4)]
                    for percentile, value in zip(DISTRIBUTION, np.percentile(took[number], DISTRIBUTION), strict=True)
                ],
                "round_p50_ms": [round(value, 4) for value in medians[number].tolist()],
                "ratio": {
                    "p50": round(float(np.median(ratios[number])), 3),
                    "low": round(float(ratios[number].min()), 3),
                    "high": round(float(ratios[number].max()), 3),
                },
            }
            for number, ((model, _), count) in enumerate(pairs)
        ],
    }


def inputs(classifier: LiteRtClassifier) -> NDArray[np.uint8]:
    """What is classified: the model's golden inputs and seeded smooth noise; uint8, (n, side, side)."""
    rng = np.random.default_rng(SEED)
    side = classifier.side
    noise = [
        cv2.resize(rng.integers(0, 256, (6, 6), np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
        for _ in range(SYNTHETIC)
    ]
    return np.concatenate([classifier.model.golden.inputs, np.stack(noise).astype(np.uint8)])


def time_invokes(classifier: LiteRtClassifier, pictures: NDArray[np.uint8], invokes: int) -> NDArray[np.float64]:
    """Milliseconds of each of `invokes` classifications, over the pictures in turn."""
    took = np.empty(invokes)
    for number, picture in zip(range(invokes), itertools.cycle(pictures), strict=False):
        began = time.perf_counter()
        classifier.classify(picture)
        took[number] = time.perf_counter() - began
    return took * 1e3


def table(content: dict[str, Any], models: Sequence[Path]) -> str:
    """A latency result as lines for a terminal."""
    lines = [*legend(content["models"], models), "", "model  threads     p50     p95     p99 ms   of the first (range)"]
    for entry in content["results"]:
        ms, ratio = entry["ms"], entry["ratio"]
        lines.append(
            f"{letter(entry['model']):<5}  {entry['threads']:>7}  {ms['p50']:6.3f}  {ms['p95']:6.3f}  {ms['p99']:6.3f}"
            f"      {ratio['p50']:5.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
        )
    lines += ["", f"{content['rounds']} rounds of {content['invokes']} classifications, preprocessing included"]
    return "\n".join(lines)


def plot(target: plots.Target, content: dict[str, Any]) -> None:
    """Draw the distribution of the times, all rounds together."""
    with plots.drawing(target, 6.4, 4, "One classification, preprocessing included") as figure:
        axes = figure.subplots()
        counts = sorted({entry["threads"] for entry in content["results"]})
        for entry in content["results"]:
            # Files of before the distribution hold three points of it.
            known = entry.get("distribution_ms") or [[int(p[1:]), ms] for p, ms in entry["ms"].items()]
            share, ms = zip(*known, strict=True)
            style, dashes = entry["model"] % len(plots.COLORS), counts.index(entry["threads"]) % len(DASHES)
            axes.plot(
                ms, share, color=plots.COLORS[style], marker=plots.MARKERS[style], markersize=4,
                linestyle=DASHES[dashes], label=f"{letter(entry['model'])}, {entry['threads']} threads",
            )  # fmt: skip
        axes.set(xlabel="ms", ylabel="% took at most so long", ylim=(0, 100))
        axes.set_xscale("log")
        axes.grid(alpha=0.3, which="both")
        axes.legend(loc="lower right")
