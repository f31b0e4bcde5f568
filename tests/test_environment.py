"""What is said in more than one place is said alike: environments, lock, versions."""

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from rattler import MatchSpec

import repro

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = SpecifierSet(PYPROJECT["requires-python"])


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_environments_and_workflows_have_the_pythons_of_pyproject_and_install_the_rest() -> None:
    specs = {}
    for name in ("environment.yml", ".binder/environment.yml"):
        lines = [line for line in read_yaml(name)["dependencies"] if isinstance(line, str)]
        dependencies = [MatchSpec(line, strict=True) for line in lines]
        specs[name] = {spec.name.normalized: str(spec.version) for spec in dependencies}
        assert set(specs[name]) == {"python", "pip"}
    assert SpecifierSet(specs["environment.yml"]["python"]) == PYTHONS
    assert read_yaml("environment.yml")["dependencies"][-1] == {"pip": ["-e ."]}
    assert PYTHONS.contains(specs[".binder/environment.yml"]["python"].removesuffix(".*"))
    build = ROOT / ".binder/postBuild"
    assert os.access(build, os.X_OK) and "uv export --locked" in build.read_text(encoding="utf-8")
    tried = read_yaml(".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert tried == [f"3.{minor}" for minor in range(30) if PYTHONS.contains(f"3.{minor}")]


def test_lock_is_in_step_with_pyproject() -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed (pip install uv)")
    done = subprocess.run([uv, "lock", "--check", "--offline"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}\nbring it in step: uv lock"


def test_one_version_and_the_papers_are_cited() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == PYPROJECT["version"] == repro.__version__
    assert citation["license"] == PYPROJECT["license"]
    papers = [(paper["year"], len(paper["authors"])) for paper in citation["references"]]
    assert papers == [(2022, 5), (2019, 8), (2024, 4)]
