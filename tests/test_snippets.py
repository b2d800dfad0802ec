"""Python blocks of README and the guides run as they stand."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import jax
import launch_helpers
import numpy as np
import pytest

import tasks
from launch.evidence import page
from launch.evidence.selection import EXPERIMENTS
from rmc_nalu_sam import CORES, UNITS

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
# Page -> what its blocks print, as a regular expression. Those `ELSEWHERE` need
# a run or files: test_in_your_model.py runs them, and the end of this file.
PRINTED = {
    "README.md": r"\(50, 8, 100\) \(8, 4, 4\)\n",
    "docs/agents.md": r"\(5, 5, 6\) 0\.0 False\n",
    "docs/language.md": r"\n.{100}\n",
    "docs/memory.md": "",
    "docs/pretrained.md": r"0\.0\n",
    "docs/units.md": "",
}
ELSEWHERE = {"docs/in_your_model.md", "docs/run_files.md", "docs/your_own.md"}


def blocks(path, language="python"):
  return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


def run(path):
  """Runs the blocks of a page in order, and returns their names."""
  namespace: dict = {}
  for number, block in enumerate(blocks(path)):
    exec(compile(block, f"{path.name}, block {number}", "exec"), namespace)
  return namespace


def test_each_page_with_python_is_run():
  pages = {str(path.relative_to(ROOT)) for path in (
      README, *(ROOT / "docs").glob("*.md")) if blocks(path)}
  assert pages == PRINTED.keys() | ELSEWHERE


@pytest.mark.parametrize("name", PRINTED)
def test_a_page_runs_as_it_stands(name, capsys):
  run(ROOT / name)
  assert re.fullmatch(PRINTED[name], capsys.readouterr().out, re.DOTALL)


def test_units_are_called_in_the_guide():
  namespace = run(ROOT / "docs" / "units.md")
  apply = namespace["hk"].transform(namespace["forward"])
  shapes = jax.eval_shape(
      apply.init, jax.random.key(0), jax.numpy.zeros([7, 3, 5]))
  assert any("nalu" in name for name in shapes)


def test_guides_name_readme_by_links_only():
  """README is short: what a guide says of it soon stands elsewhere."""
  for path in (ROOT / "docs").glob("*.md"):
    text = re.sub(r"```.*?```|\]\([^)]*\)", "", path.read_text(),
                  flags=re.DOTALL)
    assert path.name == "README.md" or "README" not in text, path


# README.


def test_first_screen_has_two_commands():
  """One command trains a model, and one runs the tests."""
  screen = README.read_text().split("## ")[0]
  commands = re.findall(r"```sh\n(.*?)```", screen, re.DOTALL)
  assert len(commands) == 2
  assert "launch.train" in commands[0]
  assert "pytest" in commands[1]
  for command in commands:  # The guide has the same.
    assert command in (ROOT / "docs" / "start.md").read_text()


def test_readme_is_short():
  assert len(README.read_text().splitlines()) < 150


def test_readme_shows_a_memory_and_an_agent():
  pictures = re.findall(r"!\[[^]]*\]\((results/[^)]*)\)", README.read_text())
  assert [pathlib.Path(each).suffix for each in pictures] == [".png", ".gif"]


def test_python_is_within_two_screens():
  assert README.read_text().split("```python")[0].count("\n") < 60


@pytest.mark.parametrize("link", re.findall(
    r"\]\(([^)#:]+)(?:#[^)]*)?\)", README.read_text()))
def test_linked_files_exist(link):
  assert (README.parent / link).exists()


def test_the_address_is_that_of_the_citation():
  address = re.search(r"repository-code: (\S+)",
                      (ROOT / "CITATION.cff").read_text())[1]
  text = README.read_text() + (ROOT / "docs" / "start.md").read_text()
  found = set(re.findall(r"https://github.com/[\w-]+/rmc_nalu_sam", text))
  assert found == {address}
  account = address.removeprefix("https://github.com/")
  assert f"colab.research.google.com/github/{account}/" in text


def test_results_at_a_glance_are_those_of_the_files():
  text = README.read_text()
  assert text == page.at_a_glance(text, EXPERIMENTS, ROOT / "results")


def test_the_numbers_in_the_text_are_those_of_the_files():
  def metric(name, key):
    runs = json.loads((ROOT / "results" / f"{name}.json").read_text())["runs"]
    return next(run["metrics"][key]["value"] for run in runs
                if key in run["metrics"])

  text = " ".join(README.read_text().split())
  step = "sam_constant_cost"
  small, large = (metric(step, f"{slots} SAM lsh/ms")
                  for slots in (4096, 16777216))
  assert (f"takes a sparse memory {small:.2f} ms with 4,096 slots and "
          f"{large:.2f} ms with 16.8 million") in text
  faster = metric("sam_figure7", "2048 SDNC/times_faster")
  assert f"{faster:.0f} times as fast as a DNC at 2,048 slots" in text
  steps = metric("environments_speed",
                 "BoxWorld, 5 x 5 view acting at random/steps/s")
  assert f"do {steps / 1e6:.1f} million steps of BoxWorld a second" in text


def test_all_cores_units_and_tasks_are_listed():
  text = (ROOT / "docs" / "zoo.md").read_text()
  for registry in (CORES, UNITS, tasks.TASKS):
    for name in registry:
      assert f"`{name}`" in text, name


# docs/your_own.md, in another folder.

YOUR_OWN = ROOT / "docs" / "your_own.md"


def write_project(folder: pathlib.Path) -> None:
  """Writes the files of the page, and a series as CSV."""
  files = re.findall(r"```python\n# (\S+)\n(.*?)```", YOUR_OWN.read_text(),
                     re.DOTALL)
  assert len(files) == 2
  for name, text in files:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
  data = folder / "my_project" / "data"
  data.mkdir()
  series = np.sin(np.arange(400) / 3)
  for split in ("train", "test"):
    (data / f"{split}.csv").write_text("".join(f"{x}\n" for x in series))


def test_your_own_core_and_task_run_as_they_stand(tmp_path):
  write_project(tmp_path)
  commands = [line for block in re.findall(
      r"```sh\n(.*?)```", YOUR_OWN.read_text(), re.DOTALL)
      for line in block.splitlines()]
  assert len(commands) == 5
  environment = os.environ | {"PYTHONPATH": str(launch_helpers.ROOT)}
  outputs = []
  for command in commands:
    python, *words = shlex.split(command)
    assert python == "python"
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, text=True,
                          env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    outputs.append(done.stdout)
  workdir = tmp_path / "runs" / "own"
  config = json.loads((workdir / "config.json").read_text())
  assert config["core_args"] == {"decay": 0.5}
  assert config["task_args"] == {"window": 8}
  records = launch_helpers.records(workdir, "eval")
  assert [record["step"] for record in records] == [30, 60, 90]
  # A sine is easy to predict; standardised, its variance is 1.
  assert records[-1]["mse"] < 0.8 * records[0]["mse"] < 1
  evaluated, described = outputs[1], outputs[3]
  assert "mse" in evaluated
  assert "Share of the state that is left after one step." in described
  assert (workdir / "curves.png").stat().st_size
