"""Who may import whom, what an import costs, and how long a file may be."""

from __future__ import annotations

import ast
import functools
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "fer_train": ROOT / "train" / "fer_train",
    "fer_convert": ROOT / "convert" / "fer_convert",
    "fer_edge": ROOT / "edge_runtime" / "fer_edge",
    "fer_bench": ROOT / "benchmarks" / "fer_bench",
}
# What each package may import of the others, as prefixes of module names.
ALLOWED = {
    "fer_train": ("fer_edge.contract",),
    "fer_convert": ("fer_edge.contract", "fer_train"),
    "fer_edge": (),
    "fer_bench": ("fer_edge", "fer_train", "fer_convert"),
}
ROOMS = ("frames", "faces", "expressions", "publish", "preview")
DESKTOP = ("tensorflow", "keras", "matplotlib")
MAX_LINES = 400


@functools.cache
def imports_of(path: Path) -> tuple[str, ...]:
    """Absolute names of everything `path` imports, at its top or inside a function."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(names)


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


@pytest.mark.parametrize("package", FOLDERS)
def test_packages_import_one_way(package: str) -> None:
    others = tuple(name for name in FOLDERS if name != package)
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in FOLDERS[package].rglob("*.py")
        for name in imports_of(path)
        if within(name, others) and not within(name, ALLOWED[package])
    ]
    assert not wrong


@pytest.mark.parametrize("package", FOLDERS)
def test_modules_import_one_way(package: str) -> None:
    paths = {
        ".".join(path.relative_to(FOLDERS[package].parent).with_suffix("").parts).removesuffix(".__init__"): path
        for path in FOLDERS[package].rglob("*.py")
    }
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        names = imports_of(path)
        # `from package import module` names a module, `from module import name` something in it.
        found = {name if name in paths else name.rpartition(".")[0] for name in names} & paths.keys()
        # The package's own door fetches what it shows only when asked; inside, people take its version from it.
        graph[module] = found - {module, package}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_runtime_never_imports_desktop_packages() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in FOLDERS["fer_edge"].rglob("*.py")
        for name in imports_of(path)
        if within(name, DESKTOP)
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_knows_only_its_own_seam(room: str) -> None:
    shared = ("fer_edge.records", "fer_edge.seams", "fer_edge.contract", f"fer_edge.{room}", "fer_edge.__version__")
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (FOLDERS["fer_edge"] / room).rglob("*.py")
        for name in imports_of(path)
        if within(name, ("fer_edge",)) and not within(name, shared)
    ]
    assert not wrong


def test_contract_knows_nobody() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in (FOLDERS["fer_edge"] / "contract").rglob("*.py")
        for name in imports_of(path)
        if within(name, tuple(FOLDERS)) and not within(name, ("fer_edge.contract",))
    ]
    assert not wrong


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after running `code`."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, cwd="/", timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_fer_edge_is_light() -> None:
    loaded = loaded_after("import fer_edge")
    assert "fer_edge" in loaded
    assert not loaded & {"numpy", "cv2", "ai_edge_litert", "tflite_runtime", *DESKTOP}


def test_the_command_line_starts_without_numpy_opencv_and_litert() -> None:
    # fer-edge doctor has to say what is wrong with them.
    assert not loaded_after("import fer_edge.cli") & {"numpy", "cv2", "ai_edge_litert", "tflite_runtime", *DESKTOP}


def test_the_whole_runtime_needs_no_desktop_package() -> None:
    code = (
        "import importlib, pkgutil, fer_edge\n"
        "for module in pkgutil.walk_packages(fer_edge.__path__, 'fer_edge.'):\n"
        "    module.name.endswith('__main__') or importlib.import_module(module.name)"
    )
    loaded = loaded_after(code)
    assert "numpy" in loaded
    # picamera2 comes from apt, paho and the metrics from extras: all of them are imported where they are used.
    assert not loaded & {*DESKTOP, "picamera2", "libcamera", "paho", "prometheus_client", "skimage"}


def test_no_file_is_two_ideas() -> None:
    folders = [*FOLDERS.values(), ROOT / "tests", ROOT / "scripts", ROOT / "systemd"]
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.suffix in ("", ".py", ".toml", ".service") and "__pycache__" not in path.parts
    }
    assert len(lengths) > 20
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}
