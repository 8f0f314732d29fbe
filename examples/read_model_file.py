"""What a model file says of itself.

python examples/read_model_file.py [model.int8.tflite]
"""

import sys
from pathlib import Path

from fer_edge.contract import model_file
from fer_edge.contract.shipped import shipped_model

model = model_file.read(Path(sys.argv[1]) if len(sys.argv) > 1 else shipped_model())
print(f"{model.name}: {', '.join(model.labels)}")
print(f"input {model.input.dtype}, scale {model.input.scale:.6f}, zero point {model.input.zero_point}")
print(f"output {model.output.dtype}, scale {model.output.scale:.6f}, zero point {model.output.zero_point}")
print(f"{len(model.golden.inputs)} golden inputs, sha256 {model.sha256}")
