"""The result of a soak: its content, a table, a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fer_bench import plots
from fer_bench.environment import model_facts
from fer_bench.soak import NOTICED_WITHIN_S, PROMISES
from fer_edge.contract import model_file
from fer_edge.contract.shipped import shipped_model


def content(rows: Sequence[dict[str, Any]], *, scale: float) -> dict[str, Any]:
    """The content of a reliability result.

    Args:
        rows: of the scenarios, with `name` and `seconds`.
        scale: share of the full number of attempts.
    """
    path = shipped_model()
    return {
        "threads": {"classifier": 1, "opencv": 1},
        "data": {"scale": scale},
        "models": [model_facts(path, model_file.read(path))],
        "scenarios": list(rows),
    }


def table(result: dict[str, Any]) -> str:
    """A reliability result as lines for a terminal."""
    lines = []
    for row in result["scenarios"]:
        if "skipped" in row:
            lines += [f"{row['name']:<18}{'skipped':<10}{row['skipped']}", ""]
            continue
        verdict = "kept" if row["kept"] else "BROKEN"
        lines.append(f"{row['name']:<18}{verdict:<10}{row['attempts']:,} attempts in {row['seconds']:.0f} s")
        lines.append(f"{'':<18}{'':<10}promised: {row['target']}")
        lines += [f"{'':<18}{'':<10}{name}: {_shown(value)}" for name, value in row["figures"].items()]
        lines.append("")
    return "\n".join(lines).rstrip()


def row_in_words(row: dict[str, Any]) -> tuple[str, list[str]]:
    """A scenario of a result for a table: what was broken; how often, what was promised, what was seen."""
    promise, figures = PROMISES[row["name"]], row.get("figures", {})
    if "skipped" in row or "broke_off" in figures:
        name = row["name"].replace("-", " ")
        return name, ["", row["target"], f"not tried: {row['skipped']}" if "skipped" in row else figures["broke_off"]]
    seen = promise.seen.format(**figures) + ("" if row["kept"] else ": **broken**")
    return promise.broken.format(**figures), [f"{row['attempts']:,}", row["target"], seen]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def plot(path: Path, result: dict[str, Any]) -> None:
    """Draw how long each camera fault took to be noticed, and then to be healed; the other rows are counts."""
    rows = [row for row in result["scenarios"] if row["name"] == "camera-faults" and "figures" in row]
    faults = rows[0]["figures"].get("faults", {}) if rows else {}
    with plots.drawing(path, 6.4, 3.6, "Camera faults: noticed and healed") as figure:
        axes = figure.subplots()
        spans = {"noticed_s": "from the fault to its notice", "recovered_s": "from there to a frame"}
        for number, (key, title) in enumerate(spans.items()):
            for at, fault in enumerate(faults.values()):
                times = [seconds for seconds in fault[key] if seconds is not None]
                # Side by side, so that equal times can be counted.
                axes.scatter(
                    [at + 0.3 * (number - 0.5) + 0.1 * math.sin(2.4 * n) for n in range(len(times))], times, s=14,
                    color=plots.COLORS[number], marker=plots.MARKERS[number], label=title if at == 0 else None,
                )  # fmt: skip
        axes.axhline(NOTICED_WITHIN_S, color=plots.GREY, linestyle="--", label="limit of noticing")
        axes.set(ylabel="seconds", ylim=(0, None))
        axes.set_xticks(range(len(faults)), list(faults))
        figure.legend(loc="outside lower center", ncols=3)
