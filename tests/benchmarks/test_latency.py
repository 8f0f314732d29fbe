import json

import numpy as np
from click.testing import CliRunner
from result_schema import validate

from fer_bench import cli, latency
from fer_edge.expressions import litert


def test_inputs_are_golden_and_repeatable(model):
    classifier = litert.load(model)
    pool = latency.inputs(classifier)
    golden = classifier.model.golden.inputs
    assert np.array_equal(pool[: len(golden)], golden)
    assert len(pool) == len(golden) + latency.SYNTHETIC
    assert np.array_equal(pool, latency.inputs(classifier))
    assert len({picture.tobytes() for picture in pool}) == len(pool)


def test_every_model_meets_every_number_of_threads(model, make_model):
    rounds = []
    paths = [make_model(quantization="float32"), model]
    content = latency.measure(paths, [1, 2], rounds=3, invokes=5, on_round=rounds.append)
    assert [(entry["model"], entry["threads"]) for entry in content["results"]] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert content["results"][0]["ratio"] == {"p50": 1.0, "low": 1.0, "high": 1.0}
    for entry in content["results"]:
        assert len(entry["round_p50_ms"]) == 3
        assert 0 < entry["ms"]["p50"] <= entry["ms"]["p95"] <= entry["ms"]["p99"]
        assert entry["ratio"]["low"] <= entry["ratio"]["p50"] <= entry["ratio"]["high"]
    assert sum(rounds) == 3


def test_command_writes_a_valid_result(model, tmp_path):
    output = tmp_path / "latency.json"
    arguments = ["latency", "--model", str(model), "--threads", "1,2", "--rounds", "2", "--invokes", "3"]
    done = CliRunner().invoke(cli.main, [*arguments, "--json", str(output)])
    assert done.exit_code == 0, done.output
    content = json.loads(output.read_text())
    validate(content)
    assert content["threads"] == {"classifier": [1, 2]}
