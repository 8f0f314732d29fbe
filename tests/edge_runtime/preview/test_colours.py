"""Colours and contrast of the page."""

from __future__ import annotations

import itertools
import re
from importlib import resources

import pytest

from fer_edge.contract.colours import label_colours
from fer_edge.contract.labels import FER2013_LABELS

CSS = (resources.files("fer_edge.preview") / "page" / "page.css").read_text()


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def themes() -> dict[str, dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    return {
        name: dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))
        for name, text in (("light", light), ("dark", dark))
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "surface", "sunken", "raised"])
def test_text_contrast_is_aa(theme: str, ground: str) -> None:
    colours = themes()[theme]
    inks = ("ink",) if ground == "raised" else ("ink", "muted")
    for ink in inks:
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, colours[ink], colours[ground])


def test_labels_have_colours_that_differ() -> None:
    colours = label_colours(FER2013_LABELS)
    assert list(colours) == list(FER2013_LABELS)
    # Lightness alone tells most pairs apart, for those who see no hue; hue tells the rest.
    assert len(set(colours.values())) == 7
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in colours.values())


def test_other_labels_take_the_palette_in_turn() -> None:
    colours = label_colours(["awe", "boredom", "happy"])
    assert colours["happy"] == label_colours(FER2013_LABELS)["happy"]
    assert all(one != other for one, other in itertools.combinations(colours.values(), 2))


def mixed(ink: str, ground: str, opacity: float) -> str:
    parts = [(int(ink[at : at + 2], 16), int(ground[at : at + 2], 16)) for at in (1, 3, 5)]
    return "#" + "".join(f"{round(opacity * over + (1 - opacity) * under):02x}" for over, under in parts)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_stale_can_still_be_read(theme: str) -> None:
    colours = themes()[theme]
    (opacity,) = re.findall(r"\.stale-data [^{]*\{ opacity: (\.\d+);", CSS)
    shown = mixed(colours["muted"], colours["surface"], float(opacity))
    assert contrast(shown, colours["surface"]) >= 4.5


@pytest.mark.parametrize(
    "labels",
    [
        (*FER2013_LABELS, "contempt"),
        ("angry", "contempt"),
        ("angry", "disgust", "fear", "happy", "sad", "surprise", "contempt"),
        ("contempt", "anger", "joy"),
    ],
)
def test_no_two_expressions_look_alike(labels: tuple[str, ...]) -> None:
    colours = label_colours(labels)
    assert list(colours) == list(labels)
    assert len(set(colours.values())) == len(labels)
