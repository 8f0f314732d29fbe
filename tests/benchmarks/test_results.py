import json
from pathlib import Path

import jsonschema
import pytest
from result_schema import validate

from fer_bench import results
from fer_bench.environment import environment
from fer_edge.contract import model_file
from fer_edge.contract.errors import DataError
from fer_edge.contract.shipped import shipped_model

STORED = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("*.json"))


def test_schema_is_itself_valid():
    jsonschema.Draft202012Validator.check_schema(results.schema())


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_stored_results_fit_the_schema(path):
    content = results.read(path)
    validate(content)
    assert path.name.startswith(content["kind"])
    for entry in content.get("results", ()):
        assert entry.get("model", 0) < len(content["models"])


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.name)
def test_stored_results_are_of_the_model_that_is_shipped(path):
    shipped = shipped_model()
    if not shipped.exists():
        pytest.skip("no model is shipped yet")
    models = results.read(path)["models"]
    for one in shipped.parent.glob("*.tflite"):
        found = {model["sha256"] for model in models if model["file"] == one.name}
        assert found <= {model_file.read(one).sha256}, one.name
    assert not models or any(model["file"] == shipped.name for model in models)


def test_a_result_of_another_kind_or_with_a_folder_in_it_does_not_fit():
    result = results.result("latency", environment([]), threads={"classifier": [1]}, data={}, models=[])
    with pytest.raises(jsonschema.ValidationError):
        validate(result)
    command = results.schema()["properties"]["command"]
    jsonschema.validate("fer-bench accuracy --data fer2013.csv", command)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate("fer-bench accuracy --data /srv/fer2013.csv", command)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', "not JSON"])
def test_what_is_no_result_is_refused(tmp_path, text):
    path = tmp_path / "accuracy.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"accuracy\.json"):
        results.read(path)


def test_a_missing_result_says_how_to_make_it(tmp_path):
    with pytest.raises(DataError, match="--json"):
        results.read(tmp_path / "accuracy.json")


def test_what_was_written_reads_back(tmp_path):
    path = tmp_path / "latency.json"
    content = results.result("latency", environment(["latency"]), models=[])
    results.write(path, content)
    assert results.read(path) == content == json.loads(path.read_text())
