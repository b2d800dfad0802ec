"""The example of docs/your_own.md runs as it stands, in another folder."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import launch_helpers
import numpy as np

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "your_own.md"


def write_project(folder: pathlib.Path) -> None:
  """Writes the files of the page, and a series as CSV."""
  files = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(),
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


def test_page_runs_as_it_stands(tmp_path):
  write_project(tmp_path)
  commands = [line for block in re.findall(
      r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
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
