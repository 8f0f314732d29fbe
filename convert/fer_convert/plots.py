"""Pictures of a conversion: what each class lost, where in the network the error arises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fer_convert.layers import LayerError
from fer_convert.verification import Comparison
from fer_edge.contract.colours import BLUE, GREY, ORANGE, VERMILION
from fer_train.plots import Target, drawing


def class_changes(target: Target, comparison: Comparison, kind: str) -> None:
    """Draw the change of each class' recall and precision, in points."""
    before, after = comparison.before, comparison.after
    rows = np.arange(len(before.labels))
    with drawing(target, 7.5, 0.45 * len(rows) + 1.4, f"Change from float to {kind}, {comparison.split}") as figure:
        axes = figure.subplots()
        for offset, color, marker, name in ((-0.15, BLUE, "o", "recall"), (0.15, ORANGE, "^", "precision")):
            change = 100 * (np.array(getattr(after, name)) - np.array(getattr(before, name)))
            axes.hlines(rows + offset, 0, change, color=color, linewidth=2)
            axes.plot(change, rows + offset, marker, color=color, label=name)
        axes.axvline(0, color=GREY, linewidth=1, zorder=0)
        counts = [f"{label} ({n:,})" for label, n in zip(before.labels, before.support, strict=True)]
        axes.set_yticks(rows, counts)
        axes.invert_yaxis()
        axes.margins(x=0.15)
        axes.set_xlabel("percentage points")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))


def layer_errors(target: Target, layers: Sequence[LayerError], kind: str) -> None:
    """Draw the signal-to-quantization-noise ratio after each operator, in the order of execution."""
    rows = np.arange(len(layers))
    values = [np.nan if layer.sqnr_db is None else layer.sqnr_db for layer in layers]
    title = f"What is left of the signal after each operator, {kind}"
    with drawing(target, 8, 0.23 * len(rows) + 1.1, title) as figure:
        axes = figure.subplots()
        weakest = int(np.nanargmin(values)) if np.isfinite(values).any() else -1
        colors = [VERMILION if row == weakest else BLUE for row in rows]
        bars = axes.barh(rows, values, color=colors, height=0.75)
        axes.bar_label(bars, ["equal" if np.isnan(v) else f"{v:.1f}" for v in values], fontsize=7, padding=2)
        axes.set_yticks(rows, [f"{layer.layer}  {layer.operator.lower()}" for layer in layers], fontsize=7)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel("signal-to-quantization-noise ratio, dB: 6 dB are one bit; vermilion the weakest")
        axes.grid(axis="x", alpha=0.3)
