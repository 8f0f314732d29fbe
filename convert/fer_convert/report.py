"""What a conversion found, for people: tables for the terminal, and one page with everything to look at."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fer_convert import plots
from fer_convert.conversion import Conversion, Converter, versions
from fer_train import page
from fer_train import plots as drawings
from fer_train.page import Html

CHANGED = 24


def table(conversion: Conversion) -> str:
    """Float and converted network side by side, in percent."""
    kind, found = conversion.kind, conversion.comparison
    rows = _rows(conversion)
    width = max(len(name) for name, *_ in rows)
    title = f"{found.split}, {found.pictures} pictures"
    lines = [title, f"{'':{width}}  {'float':>7}  {kind:>7}  {'change':>7}"]
    lines += [f"{name:{width}}  {100 * a:7.2f}  {100 * b:7.2f}  {100 * (b - a):+7.2f}" for name, a, b in rows]
    return "\n".join([*lines, *_agreement(conversion)])


def _rows(conversion: Conversion) -> list[tuple[str, float, float]]:
    before, after = conversion.comparison.before, conversion.comparison.after
    return [
        ("accuracy", before.accuracy, after.accuracy),
        ("macro F1", before.macro_f1, after.macro_f1),
        *(
            (f"recall {label}", *shares)
            for label, *shares in zip(before.labels, before.recall, after.recall, strict=True)
        ),
        ("calibration error", before.ece, after.ece),
    ]


def _agreement(conversion: Conversion) -> tuple[str, str]:
    found = conversion.comparison
    low, high = found.interval
    return (
        f"same label for {100 * found.agreement:.2f} % of the pictures; {found.lost} lost, {found.gained} gained",
        f"95 % interval of the change of accuracy {low:+.2f} to {high:+.2f} points; McNemar p = {found.p_value:.2f}",
    )


def contents(conversion: Conversion) -> str:
    """Operators and tensor types of the finished file, in two lines."""
    found = conversion.contents
    return (
        f"operators  {_counts(found.operator_counts())}\n"
        f"tensors    {_counts(found.tensor_types)}, {found.per_channel} of them per channel"
    )


def _counts(values: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in values.items())


def write_page(
    path: Path, converter: Converter, conversions: Sequence[Conversion], files: Sequence[Path], *,
    max_drop: float, previous: Mapping[str, Any] | None,
) -> None:  # fmt: skip
    """Write all that is known of these conversions as one HTML file.

    It holds pictures of the validation split, which are the user's own.

    Args:
        path: file to write.
        converter: what the conversions share.
        conversions: one or more.
        files: where each of them was written, in the same order.
        max_drop: what was asked for, in percentage points.
        previous: the content of the `conversion.json` that was here before, or None.

    Raises:
        DataError: the file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    source = converter.source
    lead = "; ".join(
        f"{conversion.kind}: {100 * conversion.comparison.before.accuracy:.2f} % became "
        f"{100 * conversion.comparison.after.accuracy:.2f} %, the same label for "
        f"{100 * conversion.comparison.agreement:.1f} % of the pictures, {file.stat().st_size / 1000:.1f} kB"
        for conversion, file in zip(conversions, files, strict=True)
    )
    parts = [page.section("What was asked", _asked(converter, conversions, max_drop)), _data(converter)]
    for conversion, file in zip(conversions, files, strict=True):
        parts += _sections(converter, conversion, file)
    parts.append(_compared(conversions, previous))
    page.write(path, f"{source.name}: conversion report", lead + ".", parts)


def _asked(converter: Converter, conversions: Sequence[Conversion], max_drop: float) -> Html:
    source = converter.source
    return page.facts(
        {
            "network": f"{source.weights.name}{f' of {source.weights.parent.name}' if source.run else ''}, "
            f"sha256 {converter.weights_sha256}",
            "converted to": ", ".join(conversion.kind for conversion in conversions),
            "logits divided by": f"{converter.temperature:.3f}",
            "largest loss allowed": f"{max_drop:g} points of accuracy",
            "seed": converter.seed,
            "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
        }
    )


def _data(converter: Converter) -> Html:
    drawn, shown = converter.calibration, converter.validation
    counts = np.bincount(shown.labels, minlength=len(converter.labels))
    return page.section(
        "Data",
        page.table(
            ["", *converter.labels, "all"],
            [
                (f"calibrated with {drawn.split}", *drawn.counts, len(drawn.images)),
                (f"compared on {converter.source.validation_split}", *(f"{n:,}" for n in counts), f"{len(shown):,}"),
            ],
        ),
    )


def _sections(converter: Converter, conversion: Conversion, file: Path) -> list[Html]:
    kind, found = conversion.kind, conversion.comparison
    on_split = f"{found.split} ({found.pictures:,} pictures, accuracy {100 * found.after.accuracy:.2f} %)"
    both = {"float": found.before, kind: found.after}
    parts = [
        page.section(
            f"{kind}: accuracy",
            page.table(
                ["%", "float", kind, "change"],
                [
                    (name, f"{100 * a:.2f}", f"{100 * b:.2f}", f"{100 * (b - a):+.2f}")
                    for name, a, b in _rows(conversion)
                ],
            ),
            *(page.paragraph(f"{line[0].upper()}{line[1:]}.") for line in _agreement(conversion)),
            _drawn(lambda to: plots.class_changes(to, found, kind), "change of recall and precision of each class"),
            _drawn(
                lambda to: drawings.confusion_matrix(to, found.after, f"{kind} on {on_split}"),
                "confusion matrix of the converted network, counts and shares of the true class",
            ),
        ),
        page.section(
            f"{kind}: calibration",
            _drawn(
                lambda to: drawings.reliability(to, both, "how sure, how right"),
                "share of right answers over their confidence, in 15 bins, before and after",
                "Above the diagonal a network is better than it says, below it is too sure of itself.",
            ),
        ),
    ]
    if conversion.layers:
        parts.append(_layers(conversion))
    parts += [_changed(converter, conversion), _file(conversion, file)]
    return parts


def _layers(conversion: Conversion) -> Html:
    layers, kind = conversion.layers, conversion.kind
    head = ["operator", "layer", "output", "SQNR dB", "error, steps", "clipped %"]
    rows = [
        (
            layer.operator,
            layer.layer,
            "x".join(map(str, layer.shape)),
            "equal" if layer.sqnr_db is None else f"{layer.sqnr_db:.1f}",
            "-" if layer.error_steps is None else f"{layer.error_steps:.2f}",
            "-" if layer.clipped is None else f"{100 * layer.clipped:.3f}",
        )
        for layer in layers
    ]
    return page.section(
        f"{kind}: layer by layer",
        page.paragraph(
            "Both networks ran on the same pictures; each row is the error that has built up from the input to there. "
            "A step is the smallest difference the output can hold; rounding alone is off by 0.29 steps."
        ),
        _drawn(
            lambda to: plots.layer_errors(to, layers, kind), "signal-to-quantization-noise ratio after each operator"
        ),
        page.folded("as a table", page.table(head, rows)),
    )


def _changed(converter: Converter, conversion: Conversion) -> Html:
    """The pictures whose label changed most clearly."""
    split, labels, kind = converter.validation, converter.labels, conversion.kind
    tops = converter.before.argmax(axis=1), conversion.after.argmax(axis=1)
    # Probability that moved from the label given before to the one given after.
    every, gain = np.arange(len(split)), conversion.after - converter.before
    moved = gain[every, tops[1]] - gain[every, tops[0]]
    changed = np.flatnonzero(tops[0] != tops[1])
    rows = changed[np.argsort(-moved[changed], kind="stable")][:CHANGED]
    title = f"{kind}: pictures that changed their label"
    if not len(rows):
        return page.section(title, page.paragraph("There are none."))
    texts = [
        f"{Path(split.names[row]).name}\nis {labels[split.labels[row]]}\n"
        f"was {labels[tops[0][row]]} {100 * converter.before[row, tops[0][row]]:.0f} %\n"
        f"now {labels[tops[1][row]]} {100 * conversion.after[row, tops[1][row]]:.0f} %"
        for row in rows
    ]
    heading = f"The {len(rows)} clearest of {len(changed):,} changes"
    return page.section(
        title,
        _drawn(lambda to: drawings.picture_sheet(to, split.images[rows], texts, heading), heading),
    )


def _file(conversion: Conversion, file: Path) -> Html:
    found = conversion.contents
    nodes = [(operator.name, ", ".join(operator.inputs), ", ".join(operator.outputs)) for operator in found.operators]
    return page.section(
        f"{conversion.kind}: the file",
        page.facts(
            {
                "file": file.name,
                "size": f"{file.stat().st_size:,} bytes, network {len(conversion.model.flatbuffer):,}",
                "network's sha256": conversion.model.sha256,
                "operators": _counts(found.operator_counts()),
                "tensors": f"{_counts(found.tensor_types)}, {found.per_channel} of them per channel",
            }
        ),
        page.folded("every operator", page.table(["operator", "inputs", "outputs"], nodes)),
    )


def _compared(conversions: Iterable[Conversion], previous: Mapping[str, Any] | None) -> Html:
    title = "Compared with the conversion before"
    rows = []
    for conversion in conversions:
        try:
            old = (previous or {})[conversion.kind]
            found = old["comparison"]
            rows.append(
                (
                    conversion.kind,
                    f"{100 * found[conversion.kind]['accuracy']:.2f}",
                    f"{100 * conversion.comparison.after.accuracy:.2f}",
                    f"{100 * found['agreement']:.2f}",
                    f"{100 * conversion.comparison.agreement:.2f}",
                    f"{old['file_bytes'] / 1000:.1f}",
                    f"{len(conversion.model.to_bytes()) / 1000:.1f}",
                    "yes" if old["flatbuffer_sha256"] == conversion.model.sha256 else "no",
                )
            )
        except (KeyError, TypeError):
            continue  # another kind, or a report of another version
    if not rows:
        return page.section(title, page.paragraph("There was none of this kind in this folder."))
    head = ["", "accuracy % then", "now", "agreement % then", "now", "file kB then", "now", "same network"]
    return page.section(title, page.table(head, rows))


def _drawn(draw: Callable[[io.BytesIO], None], alt: str, caption: str = "") -> Html:
    stream = io.BytesIO()
    draw(stream)
    return page.picture(stream.getvalue(), alt, caption)
