"""The page beside the conversion's JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from fer_convert.cli import main

pytestmark = pytest.mark.tensorflow


def convert(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="fer-convert")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_page_says_what_the_json_says_and_compares_with_the_one_before(run: Path, tmp_path: Path) -> None:
    said = convert(run, "--int8", "--float32")
    assert f"{run / 'conversion.html'}: the same to look at" in said
    page = (run / "conversion.html").read_text()
    found = json.loads((run / "conversion.json").read_text())
    for kind in ("int8", "float32"):
        accuracy = 100 * found[kind]["comparison"][kind]["accuracy"]
        assert f"{kind}: " in page and f"{accuracy:.2f} %" in page
        assert found[kind]["flatbuffer_sha256"] in page
    assert found["float32"]["layers"] == []
    layers = found["int8"]["layers"]
    assert page.count(f"<td>{layers[0]['layer']}</td>") == 1
    assert "<h2>int8: layer by layer</h2>" in page and "<h2>float32: layer by layer</h2>" not in page
    assert page.count("data:image/png;base64,") >= 2 * 3 + 1
    assert "There was none of this kind" in page
    assert str(tmp_path) not in page

    convert(run, "--int8")
    again = (run / "conversion.html").read_text()
    assert re.search(r'<th scope="row">int8</th>(<td>[^<]*</td>){6}<td>yes</td>', again), "the same network as before"
    assert "<h2>float32: accuracy</h2>" not in again
    assert f"{run / 'conversion-float32.html'}: the same to look at" in convert(run, "--float32")
    assert (run / "conversion.html").read_text() == again, "the int8 file's page is still there"


@pytest.mark.parametrize("content", ["{", "[]", '{"int8": 3}', '{"int8": {"comparison": {}}}'])
def test_a_damaged_report_of_before_is_no_hindrance(run: Path, content: str) -> None:
    (run / "conversion.json").write_text(content)
    convert(run, "--float32")
    assert "There was none of this kind" in (run / "conversion-float32.html").read_text()
