from __future__ import annotations

import json
from pathlib import Path

import pytest

from fer_edge.contract.errors import UsageError
from fer_train import recipe


@pytest.mark.parametrize("name", recipe.shipped())
def test_shipped_recipes_survive_json(name: str) -> None:
    one = recipe.load(name)
    assert one.name == name and one.title and one.source
    again = recipe.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again == one and again.sha256() == one.sha256()


def test_mini_xception_is_the_published_recipe() -> None:
    one = recipe.load("mini_xception")
    training = one.training
    assert (training.epochs, training.batch_size, training.optimizer) == (80, 32, "adam")
    assert (training.learning_rate, training.schedule, training.decay) == (0.001, "exponential", 0.95)
    assert one.model["l2"] == 0.01
    augmentation = one.augmentation
    assert augmentation.rotation_degrees and augmentation.shift and augmentation.zoom and augmentation.flip


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean mini_xception\\?"):
        recipe.load("mini_xcpetion")
    with pytest.raises(UsageError, match=r"recipe none\.toml does not exist"):
        recipe.load("none.toml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[training]\nepoch = 3", r"training\.epoch is unknown; did you mean epochs\?"),
        ("titel = 'x'", r"recipe key titel is unknown; did you mean title\?"),
        ("[augmentation]\nflipp = true", r"augmentation\.flipp is unknown; did you mean flip\?"),
        ("[training]\nepochs = '3'", r"training\.epochs is '3'; it must be of type int"),
        ("[training]\nepochs = true", "must be of type int"),
        ("[training]\nepochs = 0", r"training\.epochs is 0; it must be from 1"),
        ("[training]\nlearning_rate = nan", r"training\.learning_rate is nan"),
        ("[training]\noptimizer = 'sgd'", "it can be adam or adamw"),
        ("[augmentation]\nzoom = 1.5", r"augmentation\.zoom is 1\.5; it must be from 0 to 0\.9"),
        ("[augmentation]\nshear = 1.5", r"augmentation\.shear is 1\.5; it must be from 0 to 1"),
        ("[training]\ngradient_clip = -1.0", r"training\.gradient_clip is -1\.0; it must be from 0 to"),
        ("[training]\nschedule = 'plateau'", "it can be exponential or inverse_time or cosine"),
        ("[conversion]\nweights = 'first'", "conversion.weights is 'first'; it can be best or last"),
        ("[conversion]\nmirror = 1", "conversion.mirror is 1; it must be of type bool"),
        ("side = 8", "recipe key side is 8; it must be from 16 to 512"),
        ("training = 3", "recipe key training is 3; it must be a table"),
        ("[training\n", "not valid TOML"),
    ],
)
def test_wrong_keys_and_values(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    model = "[model]\narchitecture = 'mini_xception'\n"
    path.write_text(f"{text}\n{model}" if "\n" in text or not text.startswith("[") else text)
    with pytest.raises(UsageError, match=sentence):
        recipe.load(str(path))


@pytest.mark.parametrize(("model", "sentence"), [("", "names no model"), ("model = 3", "must be a table")])
def test_model_section(model: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(model)
    with pytest.raises(UsageError, match=sentence):
        recipe.load(str(path))
