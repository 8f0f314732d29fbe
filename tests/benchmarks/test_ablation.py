from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import ablation, cli, results
from fer_edge.contract.errors import UsageError
from fer_train import datasets
from fer_train import recipe as recipes
from fer_train.runs import HISTORY, create_run

pytestmark = pytest.mark.tensorflow


def save(path: Path, blind: tuple[int, ...]) -> None:
    """A network that says which band of the picture is white, but for `blind` ones."""
    import keras

    weights = np.zeros((48 * 48, 7), np.float32)
    for label in set(range(7)) - set(blind):
        weights.reshape(48, 48, 7)[6 * label : 6 * label + 6, :, label] = 0.02
    network = keras.Sequential(
        [keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    )
    network.set_weights([weights, np.isin(range(7), blind) * np.float32(-100)])
    network.save(path)


@pytest.fixture
def make(data: Path, tmp_path: Path) -> Any:
    def make(
        name: str, seed: int, blind: tuple[int, ...], *, epochs: int = 2, clean: tuple[str, ...] = (), **training: Any
    ) -> Path:
        wanted = recipes.from_dict(
            {
                "name": name,
                "title": f"with {name}",
                "model": {"architecture": "fully_connected"},
                "training": {"epochs": 2, **training},
            }
        )
        folder = tmp_path / f"{name}-{seed}"
        networks = {}
        if "start" in training:
            save(tmp_path / "start.keras", ())
            networks["start"] = tmp_path / "start.keras"
        read = datasets.load(data, reading=datasets.Reading(clean=clean))
        create_run(folder, wanted, read, seed=seed, threads=1, networks=networks)
        save(folder / "last.keras", blind)
        save(folder / "best.keras", ())
        with (folder / "history.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, HISTORY)
            writer.writeheader()
            writer.writerows({**dict.fromkeys(HISTORY, 0.5), "epoch": epoch + 1} for epoch in range(epochs))
        return folder

    return make


def test_last_epochs_are_grouped_by_recipe_and_compared(make: Any, tmp_path: Path) -> None:
    folders = [make("plain", 1, (2, 3)), make("plain", 2, (2, 3, 4)), make("more", 1, (2,)), make("more", 2, (2,))]
    output, drawing = tmp_path / "ablation.json", tmp_path / "ablation.png"
    arguments = [
        "ablation",
        *map(str, folders),
        "--versus",
        "more=plain",
        "--json",
        str(output),
        "--plot",
        str(drawing),
    ]
    done = CliRunner().invoke(cli.main, arguments)
    assert done.exit_code == 0, done.output
    content = results.read(output)
    validate(content)
    plain, more = content["variants"]
    # Of the 14 pictures two are labelled wrongly, and each blind class costs its two.
    assert plain["accuracy"]["values"] == pytest.approx([8 / 14, 6 / 14], abs=1e-6)
    assert plain["accuracy"]["deviation"] == pytest.approx(2 / 14 / 2**0.5, abs=1e-6)
    assert more["versus"] == pytest.approx({"name": "plain", "gained": 3 / 14, "standard_error": 1 / 14}, abs=1e-6)
    assert more["seeds"] == [1, 2] and more["lowest_recall"]["mean"] == 0 and plain["versus"] is None
    assert content["trained_with"]["keras"] and drawing.stat().st_size > 1000
    assert "50.00 ± 10.10" in done.output and "+21.43 ± 7.14" in done.output


def test_a_mean_of_start_and_end_is_a_row_of_its_own(make: Any, data: Path) -> None:
    rows = ablation.variants([make("again", 1, (2, 3), start="any", start_share=0.5)])
    assert [row.name for row in rows] == ["again", "again, mean of start and end"]
    loaded = rows[0].runs[0].load(data)
    content = ablation.measure(rows, {rows[1].name: rows[0].name}, loaded)
    first, mean = content["variants"]
    assert first["accuracy"]["mean"] == pytest.approx(8 / 14, abs=1e-6)
    assert mean["accuracy"]["mean"] == pytest.approx(12 / 14, abs=1e-6)
    assert first["accuracy"]["deviation"] is None and mean["versus"]["standard_error"] is None


def test_what_cannot_be_compared_is_refused(make: Any) -> None:
    one = make("one", 1, ())
    with pytest.raises(UsageError, match="has not come to its end"):
        ablation.variants([make("half", 1, (), epochs=1)])
    with pytest.raises(UsageError, match="same seed"):
        ablation.variants([one, one])
    other = make("one", 2, (), learning_rate=0.01)
    with pytest.raises(UsageError, match="different settings"):
        ablation.variants([one, other])
    cleaned = make("one", 3, (), clean=("copies",))
    with pytest.raises(UsageError, match="different settings"):
        ablation.variants([one, cleaned])
    with pytest.raises(UsageError, match="names two, which is none of one"):
        ablation.measure(ablation.variants([one]), {"one": "two"}, None)
    done = CliRunner().invoke(cli.main, ["ablation", str(one), "--versus", "one"])
    assert done.exit_code == 2 and "NAME=NAME" in done.output
