"""Which pictures no network on the way has learned, for the temperature."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from fer_train import recipe as recipes
from fer_train.datasets import Dataset
from fer_train.runs import Run, create_run

pytestmark = pytest.mark.tensorflow  # create_run writes down Keras' version


@pytest.fixture
def make(tmp_path: Path, made_data: Dataset) -> Any:
    def make(name: str, *, seed: int = 1, hold_out: float = 0.1, **networks: Run) -> Run:
        training = {"hold_out": hold_out, **dict.fromkeys(networks, "earlier")}
        if "teacher" in networks:
            training["teacher_share"] = 0.5
        wanted = recipes.from_dict({"name": name, "model": {"architecture": "mini_xception"}, "training": training})
        weights = {role: run.folder / "best.keras" for role, run in networks.items()}
        run = create_run(tmp_path / name, wanted, made_data, seed=seed, networks=weights)
        (run.folder / "best.keras").write_bytes(b"weights")
        return run

    return make


def test_a_chain_that_holds_out_the_same_pictures_has_set_them_aside(make: Any) -> None:
    labels = make("labels")
    large = make("large", seed=2)
    taught = make("taught", start=labels, teacher=large)
    again = make("again", seed=3, start=taught, teacher=large)
    assert labels.set_aside() and labels.set_aside() == again.set_aside()


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_one_earlier_network_that_learned_them_is_enough(make: Any, share: float) -> None:
    large = make("large", hold_out=share)
    assert make("taught", start=make("labels"), teacher=large).set_aside() is None
    taught = make("also", start=make("more"), teacher=make("before", teacher=large))
    assert taught.set_aside() is None


def test_weights_without_their_run_may_have_learned_anything(make: Any, tmp_path: Path) -> None:
    labels = make("labels")
    moved = shutil.move(labels.folder / "best.keras", tmp_path / "alone.keras")
    shutil.rmtree(labels.folder)
    labels.folder.mkdir()
    shutil.move(moved, labels.folder / "best.keras")
    assert make("taught", start=labels).set_aside() is None


def test_nothing_held_out_is_nothing_set_aside(make: Any) -> None:
    assert make("all", hold_out=0.0).set_aside() is None
