from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fer_train import recipe as recipes
from fer_train.datasets import Dataset

pytestmark = pytest.mark.tensorflow


def test_a_training_measures_the_mean_and_a_checkpoint_keeps_it(made_data: Dataset, tmp_path: Path) -> None:
    from fer_train import models
    from fer_train.batches import to_input
    from fer_train.fit import fit
    from fer_train.runs import create_run

    one = recipes.from_dict(
        {"name": "small", "model": {"architecture": "attentional_cnn", "filters": 4}, "training": {"epochs": 1}}
    )
    model = fit(create_run(tmp_path / "run", one, made_data, seed=1), made_data)
    wanted = to_input(made_data.split("Training").images).mean()
    assert abs(wanted) > 0.01
    for network in (model, models.load(tmp_path / "run" / "last.keras")):
        mean = next(layer for layer in network.layers if layer.name.startswith("mean_subtraction")).mean
        assert float(mean) == pytest.approx(float(wanted), abs=1e-5)
        centred = network.layers[1](to_input(made_data.split("Training").images))
        assert float(np.mean(centred)) == pytest.approx(0.0, abs=1e-5)
