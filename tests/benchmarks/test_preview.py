import jsonschema
import pytest

from fer_bench import preview, results
from fer_bench.environment import environment
from fer_edge.service import config


@pytest.mark.slow
def test_the_page_is_watched_while_it_is_measured(demo_picture, tmp_path):
    settings = config.load(flags={"detector": "haar"}, environment={})
    content = preview.measure(settings, frames=12, rounds=1)
    result = results.result("preview", environment(["preview"]), **content)
    jsonschema.validate(result, results.schema())
    assert content["pictures_per_viewer"] >= 1
    assert content["conditions"]["alone"]["slowdown_percent"] == {"p25": 0, "p50": 0, "p75": 0}
    assert content["conditions"]["watched"]["frames_per_s"] > 0
    table = preview.table(result)
    assert all(title in table for title in preview.CONDITIONS.values())
    preview.plot(tmp_path / "preview.png", result)
    assert (tmp_path / "preview.png").stat().st_size > 1000
