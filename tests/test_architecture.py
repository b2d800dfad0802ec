"""Imports go one way, and each mechanism is in one place."""

import ast
import os
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).parents[1]


def test_imports_go_one_way():
  """Imports keep the contracts in pyproject.toml."""
  done = subprocess.run(
      [sys.executable, "-c", "from importlinter.cli import lint_imports_command"
       " as run; run()", "--no-cache"], cwd=ROOT, text=True, check=False,
      env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True)
  assert done.returncode == 0, done.stdout + done.stderr
  contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())[
      "tool"]["importlinter"]["contracts"]
  assert f"{len(contracts)} kept, 0 broken" in done.stdout


def files_with(pattern, *folders):
  """Returns files with a pattern outside of comments and prose."""
  return sorted(
      str(path.relative_to(ROOT)) for folder in folders
      for path in (ROOT / folder).rglob("*.py")
      if any(re.search(pattern, line.split("#")[0])
             for line in path.read_text().splitlines()
             if "`" not in line))


def test_devices_are_used_in_one_file():
  assert files_with(r"\b(pmap|shard_map)\(", "launch", "tasks",
                    "rmc_nalu_sam") == ["launch/learning/layout.py"]


def test_flags_are_of_launch():
  assert files_with(r"\bflags\b.*import|import.*\bflags\b", "tasks",
                    "rmc_nalu_sam") == []
  assert "launch/configs/flags.py" in files_with(r"import.*\bflags\b", "launch")


def test_no_folder_holds_more_than_about_a_dozen_modules():
  folders = [path for name in ("launch", "tasks", "rmc_nalu_sam")
             for path in [ROOT / name, *(ROOT / name).rglob("*/")]
             if path.name != "__pycache__"]
  sizes = {str(path.relative_to(ROOT)): len(list(path.glob("*.py")))
           for path in folders}
  assert len(sizes) > 20
  assert {name for name, size in sizes.items() if size > 16} == set()


def test_files_are_short():
  lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines())
           for folder in ("launch", "tasks", "rmc_nalu_sam")
           for path in (ROOT / folder).rglob("*.py")}
  assert {name for name, number in lines.items() if number > 400} == set()


def test_docstrings_of_functions_begin_with_a_verb():
  """A rough rule: the first word ends in s, or is an adverb before a verb."""
  found = {}
  for folder in ("launch", "tasks", "rmc_nalu_sam"):
    for path in (ROOT / folder).rglob("*.py"):
      for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
          text = ast.get_docstring(node)
          if text:
            found[f"{path.relative_to(ROOT)}:{node.name}"] = text.split()[0]
  assert len(found) > 500
  others = [name for name, word in found.items() if not re.fullmatch(
      r"[A-Z][a-z]+s|Also", word)]
  assert len(others) < 0.02 * len(found), others
