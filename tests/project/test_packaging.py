"""What is installed, and that the lock says the same as pyproject.toml."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCK: dict[str, Any] = tomllib.loads((ROOT / "uv.lock").read_text())
PACKAGES = [ROOT / folder for folder in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=60)
    return zipfile.ZipFile(next(folder.glob("*.whl")))


def test_wheel_holds_the_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    files = {
        str(path.relative_to(package.parent))
        for package in PACKAGES
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".tmp"
    }
    members = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert members == files


def test_wheel_holds_what_the_commands_read(wheel: zipfile.ZipFile) -> None:
    members = set(wheel.namelist())
    wanted = {"fer_edge/publish/event.schema.json", "fer_edge/py.typed", "fer_train/recipes/mini_xception.toml"}
    assert wanted <= members
    assert any(name.endswith("licenses/LICENSE") for name in members)


def test_every_command_has_its_module(wheel: zipfile.ZipFile) -> None:
    members = set(wheel.namelist())
    assert set(PROJECT["project"]["scripts"]) == {"fer-edge", "fer-train", "fer-convert", "fer-bench"}
    for target in PROJECT["project"]["scripts"].values():
        module, _, function = target.partition(":")
        name = module.replace(".", "/") + ".py"
        assert name in members
        assert re.search(rf"^(def {function}\(|{function}\b.*=)", wheel.read(name).decode(), re.MULTILINE)


def test_the_pi_installs_four_packages() -> None:
    names = {Requirement(text).name for text in PROJECT["project"]["dependencies"]}
    assert names == {"numpy", "opencv-python-headless", "ai-edge-litert", "click"}
    assert set(PROJECT["project"]["optional-dependencies"]) == {
        "train",
        "jax",
        "mqtt",
        "metrics",
        "gpio",
        "demo",
        "dev",
    }


def _declared() -> set[tuple[str, str, str, str]]:
    """Every requirement as name, extras, specifier and marker."""
    project = PROJECT["project"]
    declared = {("", text) for text in project["dependencies"]}
    declared |= {(extra, text) for extra, texts in project["optional-dependencies"].items() for text in texts}
    return {_normal(Requirement(text), extra) for extra, text in declared}


def _normal(requirement: Requirement, extra: str) -> tuple[str, str, str, str]:
    # uv splits and sorts markers in its own way, so only the variables and values in them are compared.
    words = sorted(set(re.findall(r"'([^']*)'|\"([^\"]*)\"", str(requirement.marker or ""))))
    values = " ".join("".join(word) for word in words if "".join(word) != extra)
    return requirement.name.lower().replace("_", "-"), extra, str(requirement.specifier), values


def test_lock_is_current() -> None:
    """`make lock` was run after the last change of a dependency."""
    own = next(package for package in LOCK["package"] if package["name"] == PROJECT["project"]["name"])
    locked = set()
    for entry in own["metadata"]["requires-dist"]:
        text = entry["name"] + entry.get("specifier", "")
        marker = entry.get("marker", "")
        extra = re.search(r"extra == '([a-z]+)'", marker)
        requirement = Requirement(f"{text} ; {marker}" if marker else text)
        locked.add(_normal(requirement, extra.group(1) if extra else ""))
    assert locked == _declared()
    assert (
        Requirement(f"python{LOCK['requires-python'].replace(' ', '')}").specifier
        == Requirement(f"python{PROJECT['project']['requires-python']}").specifier
    )


def test_constraints_are_the_lock() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {tuple(line.partition(" ;")[0].split("==")) for line in lines}
    own = PROJECT["project"]["name"]
    assert pinned == {(p["name"], p["version"]) for p in LOCK["package"] if p["name"] != own}


def test_lock_names_the_public_index_only() -> None:
    text = (ROOT / "uv.lock").read_text()
    hosts = set(re.findall(r"\w+://[^/\"]+", text))
    assert hosts == {"https://pypi.org", "https://files.pythonhosted.org"}
    sources = {str(package["source"]) for package in LOCK["package"]}
    assert sources == {"{'registry': 'https://pypi.org/simple'}", "{'editable': '.'}"}
