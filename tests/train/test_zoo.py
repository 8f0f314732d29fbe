from __future__ import annotations

import json
from pathlib import Path

import pytest

from fer_edge.contract.errors import DataError
from fer_train import recipe, zoo

ROOT = Path(__file__).parent.parent.parent
MEASURED = sorted((ROOT / "benchmarks" / "results").glob("accuracy-zoo*.json"))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_document_is_what_the_command_writes() -> None:
    assert (ROOT / "docs" / "zoo.md").read_text(encoding="utf-8").endswith(zoo.markdown(MEASURED) + "\n")


def test_published_and_measured_figures_never_share_a_column() -> None:
    head, _, *rows = zoo.markdown(MEASURED).split("\n\n")[0].splitlines()
    names = cells(head)
    found = {cells(row)[0]: dict(zip(names, cells(row), strict=True)) for row in rows}
    assert sorted(found) == recipe.shipped()
    results = [json.loads(path.read_text()) for path in MEASURED]
    for model, entry in ((one["models"][entry["model"]], entry) for one in results for entry in one["results"]):
        ours = f"{100 * entry['evaluation']['accuracy']:.2f}"
        assert found[model["name"]][f"ours {model['quantization']}, %"] == ours
    for name, row in found.items():
        published = recipe.load(name).published_accuracy
        assert row["published, %"] == ("-" if published is None else f"{published:g}")
    assert [name for name in names if name.startswith(("ours", "published, %"))] == [
        "published, %",
        "ours float32, %",
        "ours int8, %",
    ]


def test_without_a_result_there_is_no_column_of_ours() -> None:
    assert "ours" not in zoo.markdown().splitlines()[0]
    for name in recipe.shipped():
        one = recipe.load(name)
        assert f"{one.title}. {one.source}." in zoo.table()


def test_figures_of_other_pictures_are_not_listed_beside_them(tmp_path: Path) -> None:
    other = json.loads(MEASURED[0].read_text())
    again = tmp_path / "again.json"
    again.write_text(json.dumps(other))
    assert zoo.table([*MEASURED, again]) == zoo.table(MEASURED)
    other["data"]["split"] = "Training"
    again.write_text(json.dumps(other))
    with pytest.raises(DataError, match=r"again\.json was measured on other pictures than .*accuracy-zoo"):
        zoo.table([*MEASURED, again])


@pytest.mark.parametrize("content", ["", "[]", '{"kind": "latency"}', '{"kind": "accuracy"}'])
def test_another_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"other\.json is no result of fer-bench accuracy"):
        zoo.table([path])
