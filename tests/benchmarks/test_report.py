import copy
import json
import os
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from result_schema import validate

from fer_bench import cli, report, results

STORED = sorted((Path(__file__).parents[2] / "benchmarks" / "results").glob("*.json"))


def run(*arguments):
    return CliRunner().invoke(cli.main, ["report", *map(str, arguments)])


def embedded(page):
    return json.loads(re.search(r'id="results">(.*?)</script>', page.read_text(), re.DOTALL)[1])


@pytest.fixture(scope="module")
def measured(tmp_path_factory, model, clip):
    """A report of this machine, measured in the shortest way."""
    page = tmp_path_factory.mktemp("report") / "pi.html"
    done = run("-o", page, "--model", model, "--clip", clip, "--max-frames", 2, "--repeat", 1)
    assert done.exit_code == 0, done.output
    return page


def test_one_file_holds_machine_classifier_and_loop(measured):
    content = embedded(measured)
    assert content == json.loads(measured.with_suffix(".json").read_text())
    assert {"latency", "pipeline"} == {result["kind"] for result in content["results"]}
    for result in content["results"]:
        validate(result)
    assert content["health"].keys() == {"before", "after"}
    text = measured.read_text()
    for heading in ("Machine", "The classifier alone", "The whole loop on a clip"):
        assert f"<h2>{heading}</h2>" in text
    assert text.count("data:image/png;base64,") >= 1


def test_nothing_in_it_tells_whose_machine_it_is(measured):
    text = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]*", "", measured.read_text())
    for secret in (str(Path.home()), str(measured.parent), str(Path(__file__).parents[2]), os.uname().nodename):
        assert not re.search(rf"\b{re.escape(secret)}[/<]", text)


@pytest.fixture
def undrawn(monkeypatch):
    """Without matplotlib, where the plots are not the point."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)


def test_without_matplotlib_it_says_so_and_goes_on(measured, tmp_path, undrawn):
    report.write(tmp_path / "page.html", embedded(measured)["results"])
    text = (tmp_path / "page.html").read_text()
    assert "pip install matplotlib" in text
    assert "data:image/png" not in text
    assert "peak memory" in text


def test_a_second_report_is_compared_with_the_first(measured, tmp_path, undrawn):
    page = tmp_path / "page.html"
    first = embedded(measured)["results"]
    report.write(page, first)
    assert "There was none of the same things" in page.read_text()
    second = copy.deepcopy(first)
    for result in second:
        if result["kind"] == "pipeline":
            result["loop"]["frames_per_s"] *= 2
    report.write(page, second)
    assert re.search(r"frames/s</th><td>[\d.]+</td><td>[\d.]+</td><td>2\.00</td>", page.read_text())


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"results": [{"format": 1, "kind": "latency"}]}'])
def test_what_is_no_report_is_no_hindrance(measured, tmp_path, content, undrawn):
    (tmp_path / "page.json").write_text(content)
    report.write(tmp_path / "page.html", embedded(measured)["results"])
    assert "There was none of the same things" in (tmp_path / "page.html").read_text()


def test_a_part_that_cannot_be_measured_is_named(model, tmp_path, monkeypatch):
    monkeypatch.setattr("fer_bench.report.find_yunet", lambda: None)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(b"no video")
    done = run("-o", tmp_path / "page.html", "--model", model, "--clip", broken, "--repeat", 1)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "page.html").read_text()
    assert "The loop with haar was not measured" in text
    assert "fer-edge model pull yunet" in text
    assert len(embedded(tmp_path / "page.html")["missing"]) == 2


@pytest.mark.slow
@pytest.mark.skipif(not STORED, reason="no results are stored")
def test_stored_results_are_shown_each_in_its_section(tmp_path):
    page = tmp_path / "all.html"
    done = run(*STORED, "-o", page)
    assert done.exit_code == 0, done.output
    text = page.read_text()
    kinds = {results.read(path)["kind"] for path in STORED}
    for kind, title in report.KINDS.items():
        assert (f"<h2>{title}</h2>" in text) == (kind in kinds)
    assert len(embedded(page)["results"]) == len(STORED)
    for result in embedded(page)["results"]:
        for entry in result["results"] if result["kind"] == "accuracy" else ():
            assert f'alt="confusion matrix of {results.letter(entry["model"])}, ' in text
            assert f'alt="share of right answers of {results.letter(entry["model"])} ' in text


def test_a_result_of_another_kind_is_shown_as_it_is(measured, tmp_path):
    other = {**embedded(measured)["results"][0], "kind": "<other>"}
    report.write(tmp_path / "page.html", [other])
    text = (tmp_path / "page.html").read_text()
    assert "<h2>&lt;other&gt;</h2>" in text
    assert "round_p50_ms" in text


def test_bad_input_is_one_sentence(tmp_path):
    cases = [
        (["-o", tmp_path / "page.txt"], "does not end in .html"),
        (["-o", tmp_path / "no" / "page.html"], "-o"),
        (["--clip", tmp_path / "absent.mkv", "-o", tmp_path / "page.html"], "absent.mkv is not a file"),
    ]
    for arguments, said in cases:
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        assert said in done.output.strip().splitlines()[-1]
    done = run(tmp_path / "absent.json", "-o", tmp_path / "page.html")
    assert done.exit_code == 1
    assert "absent.json" in done.output
