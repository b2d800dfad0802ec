"""The commands of README and the guides are valid, as pasted."""

import contextlib
import importlib
import pathlib
import re
import shlex

import launch_helpers
import pytest

ROOT = pathlib.Path(__file__).parents[1]
# Other files test these: a project of one's own, gymnax, several processes.
ELSEWHERE = ("my_project", "gymnax", "--coordinator_address")
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def commands():
  for page in PAGES:
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
      for line in block.replace("\\\n", "").splitlines():
        if line.startswith("python -m launch.") and not any(
            word in line for word in ELSEWHERE):
          program, *words = shlex.split(line, comments=True)[2:]
          yield pytest.param(program, words, id=f"{page.name}: {line}")


COMMANDS = sorted(commands(), key=lambda each: each.id)


def test_there_are_commands():
  assert len(COMMANDS) > 20


@pytest.mark.parametrize("program, words", COMMANDS)
def test_a_command_is_valid(program, words, tmp_path, monkeypatch, capsys):
  """Runs a command until it would train, or finds no run."""
  @contextlib.contextmanager
  def stop(*args):
    raise SystemExit(0)
    yield

  module = importlib.import_module(program)
  monkeypatch.chdir(tmp_path)
  if program == "launch.train":
    monkeypatch.setattr(module, "opened", stop)
  elif program in ("launch.benchmark", "launch.describe", "launch.reproduce"):
    monkeypatch.setattr(module, "main", lambda argv: None)
  words = [word for word in words if not word.startswith("--cpu_devices")]
  status = launch_helpers.run(module, *words)
  err = capsys.readouterr().err
  assert status == 0 or re.search("holds no run|no run|is no folder", err), err
