from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_bench import ablation, accuracy, cli, latency, pipeline, predict, readme, results, robustness, smoothing
from fer_bench.environment import environment
from fer_bench.soak import report as soak_report
from fer_edge.contract.errors import DataError
from fer_edge.service import config
from fer_train import datasets

ROOT = Path(__file__).parents[2]


def side(name: str, rate: float, times: float) -> dict:
    return {
        "side": name,
        "frames_per_s": rate,
        "times_peer": {"p50": times, "low": times / 2, "high": times * 2},
        "process": {"first_event_ms": 350.0, "peak_memory_mb": 101.2},
    }


PEERS = {
    "data": {"clips": [{"file": "demo"}]},
    "comparisons": [{"clip": 0, "sides": [side("fer", 28.0, 1.0), side("fer-edge yunet", 560.0, 20.0)]}],
}


PREDICT = {
    "detector": {"name": "yunet"},
    "here": {
        "yunet_160x120_ms": 2.0,
        "stages_ms": {"total": 4.0},
    },
    "other_work": predict.OTHER_WORK,
    "sources": list(predict.SOURCES),
    "boards": [predict._prediction(board, ["total"], [2.0]) for board in predict.BOARDS],
}


def variant(name: str, shares: tuple[float, float], versus: dict | None = None) -> dict:
    found = {figure: ablation._spread(shares) for figure in ablation.FIGURES}
    return {"name": name, "title": f"with {name}", "epochs": 12, "seeds": [1, 2], "versus": versus, **found}


ABLATION = {
    "data": {"file": "fer2013.csv", "split": "PublicTest", "pictures": 14},
    "trained_with": {"keras": "3.15.1", "backend": "tensorflow"},
    "variants": [
        variant("plain", (0.60, 0.62)),
        variant("mixup", (0.63, 0.63), {"name": "plain", "gained": 0.02, "standard_error": 0.01}),
    ],
}


RELIABILITY = [
    {"name": "kills", "target": "0 lost", "attempts": 50, "kept": True, "seconds": 1.0,
     "figures": {"lost": 0, "accepted": 11_075, "duplicates": 96}},
    {"name": "model-swaps", "target": "0 unusable states", "attempts": 1500, "kept": False, "seconds": 1.0,
     "figures": {"unusable": 2, "killed_while_writing": 3}},
    {"name": "broker-stops", "target": "0 events lost", "attempts": 1, "kept": False, "seconds": 1.0,
     "figures": {"broke_off": "the broker did not get everything"}},
    {"name": "arm", "target": "labels identical", "skipped": "mmdebstrap is missing", "seconds": 1.0},
]  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory, data, model, make_model, clip):
    folder = tmp_path_factory.mktemp("results")
    said = {"agreement": 0.9286, "drop_points": 7.14, "drop_points_95": [0.0, 21.4], "mcnemar_p": 1.0}
    digest = datasets.load(data).split("PublicTest").sha256()
    facts = {"accuracy": {"PublicTest": said}, "data_sha256": {"PublicTest": digest}}
    models = [make_model(quantization="float32"), make_model(facts=facts)]
    contents = {
        "accuracy": accuracy.measure(datasets.load(data), "PublicTest", models),
        "latency": latency.measure(models, [1, 2], rounds=1, invokes=2),
        "robustness": robustness.measure(datasets.load(data), "PublicTest", models),
        "ablation": ABLATION,
        "peers": PEERS,
        "predict": PREDICT,
        "reliability": soak_report.content(RELIABILITY, scale=0.5),
        "smoothing": smoothing.measure(
            datasets.load(data),
            "PublicTest",
            config.load(environment={}, flags={"model": str(model)}),
            minutes=1,
            fps=10,
            seed=0,
        ),
        "pipeline": pipeline.measure(clip, detector="haar", model=model, settings_file=None, max_frames=2, rounds=1),
    }
    for kind, content in contents.items():
        name = "pipeline-grey-haar" if kind == "pipeline" else kind
        results.write(folder / f"{name}.json", results.result(kind, environment([kind]), **content))
    elsewhere = environment(["peers"])
    elsewhere["machine"]["cpu"], elsewhere["machine"]["board"] = "another one", None
    there = {"clip": 0, "sides": [side("fer", 40.0, 1.0), side("fer-edge yunet", 480.0, 12.0)]}
    other = results.result("peers", elsewhere, data=PEERS["data"], comparisons=[there])
    results.write(folder / "peers-other.json", other)
    return folder


def blocks(*names: str) -> str:
    block = "before {0}\n<!-- figures:{0} -->\nold\n<!-- /figures -->\nafter"
    return "\n".join(["# Title", *map(block.format, names)])


def test_blocks_are_rewritten_and_nothing_else(measured):
    text = blocks(*readme.TABLES)
    new = readme.render(text, measured)
    assert "\nold\n" not in new
    for name in readme.TABLES:
        assert f"before {name}\n<!-- figures:{name} -->\n{'- ' if name == 'headline' else '| '}" in new
    assert new.count("\n<!-- /figures -->\nafter") == len(readme.TABLES)
    assert readme.render(new, measured) == new
    assert readme.stale(text, measured) == list(readme.TABLES)
    assert readme.stale(new, measured) == []


def test_tables_hold_the_results_figures_and_are_rectangular(measured):
    new = readme.render(blocks(*readme.TABLES), measured)
    assert "| ours | band float32 | band int8 |" in new
    assert "| accuracy, % | **85.7** | **85.7** |" in new
    assert "| recall *angry* (4 pictures), % | 50.0 | 50.0 |" in new
    assert "| same label as the network it was made from, % |  | 92.9 |" in new
    assert "| lost to that, points (95 % interval) |  | 7.14 (+0.00 to +21.40) |" in new
    assert "14 pictures" in new
    assert "| ours | haar, `grey.avi` 160x120 |" in new
    assert "| frames with a face | 0 of 2 |" in new
    assert "|  | fer (the peer) | fer-edge yunet (ours) |" in new
    assert "| demo: times the peer (range) | 1.0 (0.5 to 2.0) | 20.0 (10.0 to 40.0) |" in new
    assert "| demo: times the peer on another one | 1.0 (0.5 to 2.0) | 12.0 (6.0 to 24.0) |" in new
    assert "| with mixup | 2 | 63.00 ± 0.00 |" in new and "| +2.00 ± 1.00 over *with plain* |" in new
    assert "- `band`: **85.7 %** of PublicTest in int8, " in new
    assert (
        "- `demo`, fer-edge yunet: 560 frames/s, **20 times** the 28 of `pip install fer` (12 on another one); first "
        "result after 0.35 s" in new
    )
    assert "| box moved by 8%, % | " in new
    assert "| whole loop, ms | 4.00 | 4.3 to " in new
    assert "Raspberry Pi 5, predicted" in new
    assert "without a broker | 50 | 0 lost | 0 of 11,075 lost, 96 came twice |" in new
    assert "| 1,500 | 0 unusable states | 2 unusable, 3 killed while a file was written: **broken** |" in new
    assert "| broker stops |  | 0 events lost | the broker did not get everything |" in new
    assert "| arm |  | labels identical | not tried: mmdebstrap is missing |" in new
    assert "`fer-bench soak`, 0.5 of the full number of attempts; other load of the machine up to " in new
    for table in new.split("<!-- figures:")[1:]:
        widths = {line.count(" | ") for line in table.splitlines() if line.startswith("|")}
        assert len(widths) == (not table.startswith("headline"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# Title", "no blocks"),
        ("<!-- figures:accuracy -->", "not closed"),
        ("<!-- figures:sizes -->\n<!-- figures:accuracy -->\n<!-- /figures -->", "not closed"),
        (blocks("speed"), "figures:speed is unknown"),
    ],
)
def test_a_readme_that_cannot_be_filled_is_refused(measured, text, said):
    with pytest.raises(DataError, match=said):
        readme.render(text, measured)


@pytest.mark.parametrize("name", list(readme.TABLES))
def test_missing_results_are_named(tmp_path, name):
    file = "accuracy" if name in ("headline", "sizes") else name
    with pytest.raises(DataError, match=f"{file}.*fer-bench"):
        readme.render(blocks(name), tmp_path)


def test_check_fails_until_the_command_ran(measured, tmp_path):
    path = tmp_path / "README.md"
    path.write_text(blocks("accuracy", "latency"))

    def run(*flags):
        return CliRunner().invoke(cli.main, ["readme", str(path), "--results", str(measured), *flags])

    stale = run("--check")
    assert stale.exit_code == 1
    assert "accuracy, latency" in stale.output
    assert "old" in path.read_text()
    assert run().exit_code == 0
    assert run("--check").exit_code == 0
    path.write_text(path.read_text().replace("85.7", "95.7"))
    assert run("--check").exit_code == 1


@pytest.mark.parametrize("page", readme.PAGES, ids=str)
def test_the_figures_of_our_own_pages_are_those_of_the_results(page):
    assert readme.stale((ROOT / page).read_text(), ROOT / "benchmarks" / "results") == []
