"""What a conversion found, for people."""

from __future__ import annotations

from fer_convert.conversion import Conversion


def table(conversion: Conversion) -> str:
    """Float and converted network side by side, in percent."""
    kind, found = conversion.kind, conversion.comparison
    before, after = found.before, found.after
    rows = [("accuracy", before.accuracy, after.accuracy), ("macro F1", before.macro_f1, after.macro_f1)]
    rows += [
        (f"recall {label}", *shares) for label, *shares in zip(before.labels, before.recall, after.recall, strict=True)
    ]
    rows.append(("calibration error", before.ece, after.ece))
    width = max(len(name) for name, *_ in rows)
    title = f"{found.split}, {found.pictures} pictures"
    lines = [title, f"{'':{width}}  {'float':>7}  {kind:>7}  {'change':>7}"]
    lines += [f"{name:{width}}  {100 * a:7.2f}  {100 * b:7.2f}  {100 * (b - a):+7.2f}" for name, a, b in rows]
    low, high = found.interval
    lines += [
        f"same label for {100 * found.agreement:.2f} % of the pictures; {found.lost} lost, {found.gained} gained",
        f"95 % interval of the change of accuracy {low:+.2f} to {high:+.2f} points; McNemar p = {found.p_value:.2f}",
    ]
    return "\n".join(lines)


def contents(conversion: Conversion) -> str:
    """Operators and tensor types of the finished file, in two lines."""
    found = conversion.contents
    return (
        f"operators  {_counts(found.operator_counts())}\n"
        f"tensors    {_counts(found.tensor_types)}, {found.per_channel} of them per channel"
    )


def _counts(values: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in values.items())
