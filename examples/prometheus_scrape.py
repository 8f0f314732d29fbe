"""Read the metrics of a running fer-edge as Prometheus would.

fer-edge run --metrics
python examples/prometheus_scrape.py http://127.0.0.1:9808/metrics
"""

import sys
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

if len(sys.argv) < 2:
    sys.exit(__doc__)
with urlopen(sys.argv[1], timeout=5) as answer:
    text = answer.read().decode()
for family in text_string_to_metric_families(text):
    for sample in family.samples:
        if sample.name.startswith("fer_edge") and not sample.name.endswith(("_bucket", "_created")):
            labels = ", ".join(f"{name}={value}" for name, value in sample.labels.items())
            print(f"{sample.name:<48} {sample.value:<12g} {labels}")
