"""A config.json from a stranger: what it names is not imported, nor called."""

import json
import sys

import pytest
from launch_helpers import run, tiny_config, tiny_flags

from launch import evaluate, train
from launch.configs import config as config_lib
from launch.configs import trust
from launch.pictures import run as pictures

OWN = """
import functools
import os
from subprocess import call
from haiku import GRU
import haiku as hk
class Core(hk.GRU):
  def __init__(self, hidden_size: int, name=None):
    super().__init__(hidden_size, name)
small = functools.partial(Core, hidden_size=3)
system = functools.partial(os.system)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
  """Makes a module of the user's own, and one beside a config.json."""
  for folder, name in (("mine", "trust_own"), ("run", "trust_theirs"),
                       ("lib/site-packages", "trust_installed")):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / f"{name}.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / folder)
  yield tmp_path / "run"
  for name in ("trust_own", "trust_theirs", "trust_installed"):
    sys.modules.pop(name, None)


@pytest.mark.parametrize("name", [
    "trust_own:Core", "trust_own:small", "optax:lion", "haiku:GRU",
    "no_such_module:Core", "trust_own:no_such", "lstm", "C:\\data",
    "a sentence: with a colon"])
def test_used(own, name):
  assert trust.refusal({"core": name}, own) is None


@pytest.mark.parametrize("name", [
    "os:system", "posix:system", "subprocess:call", "shutil:rmtree",
    "builtins:exec", "pip:main", "pytest:main", "launch.train:run",
    "launch.evidence.runner:subprocess.call", "tasks.data.files:gzip.open",
    "trust_own:os.system", "trust_own:call", "trust_own:system",
    "trust_own:GRU", "trust_own:os", "trust_theirs:Core",
    "trust_installed:Core", "haiku._src.basic:functools.partial"])
@pytest.mark.parametrize("field", ["core", "task_args", "sweep"])
def test_refused(own, field, name):
  stored = {field: {"path": [name]} if field == "task_args" else name}
  words = trust.refusal(stored, own)
  assert words and repr(name) in words
  assert words.startswith("task_args.path=" if field == "task_args" else field)
  assert "\n" not in words
  assert trust.refusal(stored, own, given=[name]) is None
  assert not {"trust_theirs", "trust_installed"} & set(sys.modules)


def test_the_environment_may_trust(own, monkeypatch):
  stored = {"core": "trust_installed:Core", "task": "os:system"}
  assert f"{trust.VARIABLE}=trust_installed " in trust.refusal(stored, own)
  monkeypatch.setenv(trust.VARIABLE, "other,trust_installed")
  assert f"{trust.VARIABLE}=os " in trust.refusal(stored, own)


def test_programs_call_nothing(own, monkeypatch, capsys):
  """Neither when flags are defined, nor later."""
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  target = own / "called"
  stored = json.loads(tiny_config().to_json_best_effort())
  stored |= {"task": "pathlib:Path.touch", "task_args": {"self": str(target)}}
  (own / "config.json").write_text(json.dumps(stored))
  for program in (train, evaluate):
    assert run(program, f"--workdir={own}") == config_lib.EXIT_USAGE
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {own}/config.json: task='pathlib:Path.touch"
                           "' names code")
  assert not target.exists()


def test_a_config_nested_too_deeply(own, capsys):
  (own / "config.json").write_text("[" * 10 ** 6)
  assert run(train, f"--workdir={own}") == config_lib.EXIT_USAGE
  line, = capsys.readouterr().err.splitlines()
  assert line.startswith(f"error: cannot read {own}/config.json: ")


def test_a_name_of_the_command_line_is_used_again(own, tmp_path, monkeypatch):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  name, workdir = "--core=trust_installed:Core", tmp_path / "runs"
  flags = [each for each in tiny_flags() if not each.startswith("--core")]
  assert run(train, name, "--core.hidden_size=3", *flags, "--steps=1",
             f"--workdir={workdir}") == 0
  assert run(train, f"--workdir={workdir}") == config_lib.EXIT_USAGE
  assert run(train, name, "--core.hidden_size=3", f"--workdir={workdir}") == 0
