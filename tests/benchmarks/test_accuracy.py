import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import accuracy, cli, commands
from fer_edge.contract.errors import DataError, ModelFileError
from fer_edge.contract.labels import FER2013_LABELS
from fer_edge.contract.shipped import shipped_model
from fer_train import datasets


def test_counts_are_exact_whatever_the_order_of_the_models_labels(data, model, make_model):
    shuffled = make_model(labels=FER2013_LABELS[::-1])
    content = accuracy.measure(datasets.load(data), "PublicTest", [model, shuffled])
    first, second = content["results"]
    evaluation = first["evaluation"]
    assert evaluation["accuracy"] == pytest.approx(12 / 14, abs=1e-6)
    assert evaluation["classes"]["angry"]["recall"] == 0.5
    assert [entry["support"] for entry in evaluation["classes"].values()] == [4, 2, 2, 2, 2, 1, 1]
    assert second["evaluation"]["confusion"] == evaluation["confusion"]
    assert second["versus_first"] == {"agreement": 1.0, "gained": 0, "lost": 0, "mcnemar_p": 1.0}
    assert first["versus_first"] is None


def test_a_worse_model_is_compared_picture_by_picture(data, model, make_model):
    blind = make_model(blind=["happy", "sad"])
    content = accuracy.measure(datasets.load(data), "PublicTest", [model, blind])
    assert content["results"][1]["versus_first"] == {
        "agreement": pytest.approx(10 / 14, abs=1e-6),
        "gained": 0,
        "lost": 4,
        "mcnemar_p": 0.125,
    }


def test_float_and_int8_model_files_agree(data, model, make_model):
    content = accuracy.measure(datasets.load(data), "PublicTest", [make_model(quantization="float32"), model])
    assert [facts["quantization"] for facts in content["models"]] == ["float32", "int8"]
    assert content["results"][1]["versus_first"]["agreement"] == 1.0


def test_what_fer_convert_found_counts_for_the_pictures_that_it_was_found_on(data, make_model):
    loaded = datasets.load(data)
    said = {"agreement": 0.9286, "drop_points": 7.14, "drop_points_95": [0.0, 21.4], "mcnemar_p": 1.0}
    found = {"accuracy": {"PublicTest": {"pictures": 14, **said}}}
    chosen = [
        make_model(facts=found | {"data_sha256": {"PublicTest": digest}})
        for digest in (loaded.split("PublicTest").sha256(), "of others")
    ]
    content = accuracy.measure(loaded, "PublicTest", [*chosen, make_model(facts=found)])
    assert [entry["versus_own_float"] for entry in content["results"]] == [said, None, None]
    elsewhere = accuracy.measure(loaded, "Training", chosen)
    assert [entry["versus_own_float"] for entry in elsewhere["results"]] == [None, None]


def test_every_picture_is_counted_once_for_the_progress_bar(data, model):
    seen = []
    accuracy.measure(datasets.load(data), "Training", [model, model], on_picture=seen.append)
    assert sum(seen) == 28


def test_a_model_of_other_labels_is_refused(data, make_model):
    foreign = make_model(labels=FER2013_LABELS[:6])
    with pytest.raises(ModelFileError, match="neutral"):
        accuracy.measure(datasets.load(data), "PublicTest", [foreign])


def test_a_split_without_pictures_is_refused(data, model):
    with pytest.raises(DataError, match="PrivateTest"):
        accuracy.measure(datasets.load(data), "PrivateTest", [model])


def test_versus_counts_both_directions():
    labels = np.array([0, 1, 0, 1])
    first = np.eye(2, dtype=np.float32)[[0, 1, 1, 1]]
    other = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    found = accuracy.versus(first, other, labels)
    assert found == {"agreement": 0.5, "gained": 1, "lost": 1, "mcnemar_p": 1.0}


def test_a_class_without_pictures_has_no_recall(data, model):
    content = accuracy.measure(datasets.load(data), "PublicTest", [model])
    first = content["results"][0]["evaluation"]["classes"]["fear"]
    assert "-" not in row_of(accuracy.table(content, [model.name]), "recall fear")
    first["support"], first["recall"] = 0, 0.0
    assert row_of(accuracy.table(content, [model.name]), "recall fear (0)").endswith(" -")


def row_of(table, head):
    return next(line.rstrip() for line in table.splitlines() if line.lstrip().startswith(head))


def test_shipped_models_are_known_by_their_names():
    assert commands.or_shipped(()) == (shipped_model("mini"),)
    assert commands.or_shipped((Path("plus"), Path("x.tflite"))) == (shipped_model("plus"), Path("x.tflite"))


def test_command_writes_a_valid_result_and_shows_it(data, model, make_model, tmp_path):
    output = tmp_path / "accuracy.json"
    blind = make_model(blind=["fear"])
    done = CliRunner().invoke(
        cli.main, ["accuracy", f"--data={data}", "--model", str(model), "--model", str(blind), "--json", str(output)]
    )
    assert done.exit_code == 0, done.output
    content = json.loads(output.read_text())
    validate(content)
    assert content["command"].startswith("fer-bench accuracy --data=fer2013.csv --model band.int8.tflite")
    assert str(tmp_path.parent) not in output.read_text()
    assert content["data"]["sha256"] == datasets.load(data).split("PublicTest").sha256()
    assert "85.71" in done.output
    assert "McNemar" in done.output
    assert max(len(line) for line in accuracy.table(content, [model.name, blind.name]).splitlines()) <= 80
