import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import cli, results, robustness
from fer_edge.contract.errors import ModelFileError
from fer_edge.contract.labels import FER2013_LABELS
from fer_train import datasets


def point(x, y, side=49):
    picture = np.zeros((side, side), np.uint8)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    return picture


def centre(picture):
    y, x = np.indices(picture.shape)
    return np.array([(x * picture).sum(), (y * picture).sum()]) / picture.sum()


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ("box moved by 8%", [(34 - 3.92, 24), (34 + 3.92, 24), (34, 24 - 3.92), (34, 24 + 3.92)]),
        ("box larger by 15%", [(24 + 10 / 1.15, 24)]),
        ("box smaller by 15%", [(24 + 10 / 0.85, 24)]),
        ("rolled by 15 degrees", [(24 + 10 * 0.9659, 24 - 10 * 0.2588), (24 + 10 * 0.9659, 24 + 10 * 0.2588)]),
    ],
)
def test_the_box_changes_by_what_the_condition_says(condition, wanted):
    seen = [centre(change(point(34, 24)).astype(float)) for change in robustness.CONDITIONS[condition]]
    np.testing.assert_allclose(seen, wanted, atol=0.1)


def test_light_blur_and_compression_change_the_picture_and_not_the_original():
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    before = picture.copy()
    changed = {name: [change(picture) for change in made] for name, made in robustness.CONDITIONS.items()}
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(changed.pop("as they are")[0], picture)
    assert all((one != picture).any() and one.shape == (48, 48) for made in changed.values() for one in made)
    assert changed["at 35% of the light"][0].mean() == pytest.approx(0.35 * picture.mean(), abs=0.5)
    assert changed["blurred, sigma 1 px"][0].std() < 0.5 * picture.std()


def test_every_condition_is_measured_against_the_plain_pictures(data, model, make_model):
    seen = []
    content = robustness.measure(
        datasets.load(data), "PublicTest", [model, make_model(blind=["happy"])], on_picture=seen.append
    )
    assert sum(seen) == 2 * 14 * robustness.passes()
    plain = [entry for entry in content["results"] if entry["condition"] == "as they are"]
    assert [(entry["model"], entry["lost"], entry["agreement"]) for entry in plain] == [(0, 0, 1), (1, 0, 1)]
    assert plain[0]["accuracy"] == pytest.approx(12 / 14, abs=1e-6) == plain[0]["worst"]
    for entry in content["results"]:
        reference = plain[entry["model"]]["accuracy"]
        assert entry["accuracy"] == pytest.approx(reference - entry["lost"], abs=2e-6)
        assert entry["worst"] <= entry["accuracy"] + 1e-6
    # A band of 6 rows leaves its place when the box moves by 4 rows, and never when it moves along it.
    moved = next(entry for entry in content["results"] if entry["condition"] == "box moved by 8%")
    assert moved["worst"] < moved["accuracy"] < plain[0]["accuracy"]


def test_a_model_of_other_labels_is_refused(data, make_model):
    with pytest.raises(ModelFileError, match="measure it on the data it was made for"):
        robustness.measure(datasets.load(data), "PublicTest", [make_model(labels=FER2013_LABELS[:6])])


def test_command_writes_a_result_that_fits_the_schema(data, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    asked = ["robustness", "--data", str(data), "--model", str(model), "--json", "r.json", "--plot", "r.png"]
    outcome = CliRunner().invoke(cli.main, asked, catch_exceptions=False)
    assert outcome.exit_code == 0
    assert "box moved by 8%" in outcome.output
    validate(results.read(tmp_path / "r.json"))
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
