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


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def conda_specs(name: str) -> dict[str, str]:
    """Package name -> version, of the part of an environment file that conda itself solves."""
    specs = [MatchSpec(line, strict=True) for line in read_yaml(name)["dependencies"] if isinstance(line, str)]
    return {spec.name.normalized: str(spec.version) for spec in specs}


def test_conda_gives_a_python_of_pyproject_and_pip_and_pyproject_the_rest() -> None:
    specs = conda_specs("environment.yml")
    assert set(specs) == {"python", "pip"}
    assert read_yaml("environment.yml")["dependencies"][-1] == {"pip": ["-e ."]}
    assert SpecifierSet(specs["python"]) == SpecifierSet(PYPROJECT["requires-python"])


def test_binder_has_a_python_of_pyproject_and_installs_the_lock() -> None:
    specs = conda_specs(".binder/environment.yml")
    assert set(specs) == {"python", "pip"}
    assert SpecifierSet(PYPROJECT["requires-python"]).contains(specs["python"].removesuffix(".*"))
    build = ROOT / ".binder/postBuild"
    assert os.access(build, os.X_OK)
    assert "uv export --locked" in build.read_text(encoding="utf-8")


def test_workflows_try_every_python_of_pyproject() -> None:
    tried = read_yaml(".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]
    allowed = SpecifierSet(PYPROJECT["requires-python"])
    assert tried == [f"3.{minor}" for minor in range(30) if allowed.contains(f"3.{minor}")]


def test_lock_is_in_step_with_pyproject() -> None:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed (pip install uv)")
    done = subprocess.run([uv, "lock", "--check", "--offline"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr}\nbring it in step: uv lock"


def test_one_version() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == PYPROJECT["version"] == repro.__version__
    assert citation["license"] == PYPROJECT["license"]


def test_citation_names_the_papers() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    papers = [(paper["type"], paper["year"], len(paper["authors"])) for paper in citation["references"]]
    assert papers == [("conference-paper", 2022, 5), ("conference-paper", 2019, 8), ("article", 2024, 4)]
