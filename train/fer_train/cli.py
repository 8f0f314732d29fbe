"""`fer-train`."""
from pathlib import Path
import sys, os
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
def main():
    from fer_train import datasets, recipe, fit
    import time
    name, folder, data = sys.argv[1:4]
    r = recipe.load(name)
    d = datasets.load(Path(data)); print(d.counts(), flush=True)
    f = Path(folder)
    run = fit.open_run(f) if (f/"run.json").exists() else fit.create_run(f, r, d, seed=1)
    fit.fit(run, d)
