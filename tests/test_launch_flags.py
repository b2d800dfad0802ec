"""The command line of the programs: errors, and the effect of each field.

`test_configs.py` and `test_flags.py` test what a command line means; here the
programs run.
"""

import functools
import json
import platform
import re
import sys
import time

import jax
import launch_helpers
import pytest
from launch_helpers import records, run, saved_state, saved_steps, tiny_flags

import rmc_nalu_sam
import tasks
from launch import (
  benchmark,
  benchmarks,
  compare,
  describe,
  evaluate,
  experiments,
  plot,
  reproduce,
  sample,
  train,
)
from launch.configs import config as config_lib
from launch.configs import endings, members
from launch.pictures import run as pictures
from tasks.data import cache


@pytest.fixture
def refuse_to_train(monkeypatch):
  """Fails if training starts: a missed error must not cost an hour of it."""

  def refuse(*args):
    pytest.fail(f"was trained: {args}")

  monkeypatch.setattr(train, "train", refuse)


def assert_one_line(capsys, words: str) -> None:
  out, err = capsys.readouterr()
  assert out == ""
  assert err.startswith("error: ")
  assert err.count("\n") == 1
  assert err.endswith("\n")
  for word in words.split(" ... "):
    assert word in err


# Usage errors.


@pytest.mark.parametrize("argv, words", [
    ("--core=lsdm", "unknown core 'lsdm' ... lstm ... sam"),
    ("--preset=sam_sopy", "unknown preset 'sam_sopy' ... sam_copy"),
    ("--core=lstm --core.top_k=4", "'lstm' ... 'top_k' ... hidden_size"),
    ("--penalty.weight=1",
     "penalty is 'none'; valid: discrete; add --penalty=discrete"),
    ("--cpu_devices=4 --batch_size=18",
     "batch_size=18 ... 4 devices ... multiple of 4, or --cpu_devices=3"),
    ("--core.num_slots=3", "top_k ... num_slots=3 ... 4"),
    ("--core=my_package.parts:Core", "cannot import core ... my_package"),
    ("--resume", "--resume: no run was started in ... config.json"),
])
def test_usage_errors(refuse_to_train, tmp_path, capsys, argv, words):
  workdir = tmp_path / "run"
  status = run(train, *argv.split(), f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE == 2
  assert_one_line(capsys, words)
  assert not workdir.exists()  # Nothing was started.


@pytest.mark.parametrize("below", ["", "below", "below/that"])
def test_workdir_that_cannot_be_written(
    refuse_to_train, tmp_path, capsys, below):
  file = tmp_path / "file"
  file.write_text("kept")
  assert run(train, f"--workdir={file / below}") == config_lib.EXIT_USAGE
  assert_one_line(capsys, f"cannot write to --workdir={file} ... : "
                  if not below else f"{file / below}: ")
  assert file.read_text() == "kept"


def test_data_that_is_not_there(tmp_path, capsys):
  workdir = tmp_path / "run"
  status = run(train, "--task=omniglot", f"--data_dir={tmp_path / 'nowhere'}",
               f"--workdir={workdir}")
  assert status == config_lib.EXIT_USAGE
  assert_one_line(capsys, "nowhere")
  assert not (workdir / "config.json").exists()


def test_run_that_exists_is_not_changed(baseline, capsys):
  before = (baseline / "config.json").read_bytes()
  for changed, words in (
      ("--noresume", "--noresume ... already holds a run"),
      ("--seed=5", "seed=0 ... seed=5"),
      ("--core.hidden_size=5", "core.hidden_size=7 ... core.hidden_size=5"),
      ("--preset=sam_priority_sort", "priority_sort ... --workdir"),
      ("--steps=-1", "steps ... at least 1")):
    capsys.readouterr()
    status = run(train, changed, f"--workdir={baseline}")
    assert status == config_lib.EXIT_USAGE
    assert_one_line(capsys, words)
  assert (baseline / "config.json").read_bytes() == before


@pytest.mark.parametrize("text", ["", "{", '{"steps": "many"}', "[]", "7"])
def test_config_that_cannot_be_read(refuse_to_train, tmp_path, capsys, text):
  (tmp_path / "config.json").write_text(text)
  status = run(train, f"--workdir={tmp_path}")
  assert status == config_lib.EXIT_USAGE
  assert_one_line(capsys, "config.json")


def test_plot_needs_runs(tmp_path, capsys):
  for argv, words in (
      ([], "need runs ... none"),
      ([tmp_path], "config.json does not exist")):
    output = tmp_path / "curves.png"
    assert run(plot, f"--output={output}", *argv) == config_lib.EXIT_USAGE
    assert_one_line(capsys, words)
    assert not output.exists()


@pytest.mark.parametrize("program, argv, words", [
    (evaluate, "--levels=1099511627776", "--levels ... 2147483647 ... 109951"),
    (evaluate, "--levels=3,x", "--levels takes integers ... 3,x"),
    (compare, "--leave_out=-1", "--leave_out ... 4294967295 ... -1"),
    (benchmark, "--sizes=4294967296", "--sizes ... 2147483647 ... 4294967296"),
    (benchmark, "--memory_limit=inf", "--memory_limit ... finite ... inf"),
    (benchmark, "--time_limit=nan", "--time_limit ... finite ... nan"),
])
def test_numbers_out_of_range(tmp_path, capsys, program, argv, words):
  needs = {evaluate: ["--workdir=none"], compare: ["--reference=none", "none"],
           benchmark: ["--suite=sam_scaling", f"--output={tmp_path / 'a'}"]}
  assert run(program, *argv.split(), *needs[program]) == config_lib.EXIT_USAGE
  assert_one_line(capsys, words)
  assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("program, flag, others", [
    (train, "cpu_devices", ()),
    (evaluate, "episodes", ["--workdir=none"]),
    (evaluate, "batch_size", ["--workdir=none"]),
    (evaluate, "show", ["--workdir=none"]),
    (evaluate, "cpu_devices", ["--workdir=none"]),
    *((benchmark, flag, ["--suite=rmc", "--output=none"]) for flag in (
        "repeats", "num_steps", "batch_size", "cpu_devices"))])
def test_integers_of_programs_are_bounded(
    refuse_to_train, capsys, program, flag, others):
  for value in (2**31, 2**40, 2**63, 2**70, -1):
    status = run(program, f"--{flag}={value}", *others)
    assert status == config_lib.EXIT_USAGE
    text = capsys.readouterr().err
    assert f"flag --{flag}={value}: {value} is not" in text


# What the machine lacks.

PROGRAMS = {train: ["--preset=sam_copy"], evaluate: ["--workdir=none"],
            plot: [], compare: ["--reference=none"],
            benchmark: ["--suite=rmc", "--output=none"]}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("error, status, words", [
    (jax.errors.JaxRuntimeError(
        "RESOURCE_EXHAUSTED: Out of memory allocating 464956000180944 bytes."),
     endings.EXIT_RESOURCES, "464956000180944 bytes were asked for; lower "),
    (MemoryError(), endings.EXIT_RESOURCES, "error: out of memory; lower "),
    (OverflowError("Python integer 2147483648 out of bounds for int32"),
     endings.EXIT_RESOURCES, "error: a size is beyond int32"),
    (KeyboardInterrupt(), endings.EXIT_INTERRUPTED, "interrupted; start again"),
    (PermissionError("no"), config_lib.EXIT_USAGE, "error: no"),
])
def test_endings_of_all_programs(
    monkeypatch, capsys, program, error, status, words):
  def fail(argv):
    raise error

  monkeypatch.setattr(program, "main", fail)
  assert run(program, *PROGRAMS[program]) == status
  out, err = capsys.readouterr()
  assert out == ""
  assert err.count("\n") == 1
  assert words in err


def test_sizes_beyond_the_memory(tmp_path, capsys):
  """Asks for petabytes, which no address space holds."""
  status = run(train, "--core=lstm", "--core.hidden_size=1000",
               "--batch_size=2000000000", f"--workdir={tmp_path}")
  assert status == endings.EXIT_RESOURCES == 4
  line = capsys.readouterr().err.splitlines()[-1]
  assert line.startswith("error: out of memory: ")
  assert "were asked for; lower --batch_size" in line


def test_another_error_keeps_its_traceback(monkeypatch):
  def fail(argv):
    raise RuntimeError("a fault of ours")

  monkeypatch.setattr(train, "main", fail)
  with pytest.raises(RuntimeError, match="of ours"):
    run(train, "--list")


@pytest.mark.parametrize("error", [
    RuntimeError("Unable to initialize backend 'cuda'"), AssertionError()])
def test_no_such_device(monkeypatch, capsys, error):
  def fail(*args):
    raise error

  monkeypatch.setattr(jax, "devices", fail)
  monkeypatch.setattr(train, "main", fail)
  assert run(train, "--list") == endings.EXIT_RESOURCES
  assert_one_line(capsys, "JAX_PLATFORMS=cpu ... does not work here")


# Every field has an effect.


def runtime_steps(workdir, split):
  return [record["step"] for record in records(workdir, split)]


def numbers(workdir, split):
  return [{**record, "step": 0} for record in records(workdir, split)]


def params(workdir):
  return saved_state(workdir).train.params


# Field -> flags, and a function of the workdir whose value the flags change.
EFFECTS = {
    "preset": (["--preset=sam_copy"], params),  # It sets a schedule.
    "task": (["--task=priority_sort", "--task.num_bits=3",
              "--task.max_keys=3"], params),
    "core": (["--core=gru"], params),
    "steps": (["--steps=6"], saved_steps),
    # The run ends after the updates of one call, the least that a run does.
    "max_minutes": (["--max_minutes=1e-9"], saved_steps),
    "batch_size": (["--batch_size=4"],
                   functools.partial(numbers, split="train")),
    "schedule": (["--schedule=cosine"], params),
    "optimizer": (["--optimizer=adam"],
                  lambda w: saved_state(w).train.opt_state),
    "precision": (["--precision=bfloat16"], params),
    "max_grad_norm": (["--max_grad_norm=0.01"], params),
    "max_grad_value": (["--max_grad_value=0.001"], params),
    "unit": (["--unit=nau"], params),
    "encoder": (["--encoder=embed"], params),
    # Without a head, the core's output must have the size of the answer.
    "head": (["--head=none", "--core.hidden_size=3"], params),
    "num_seeds": (["--num_seeds=8"], params),
    "seed": (["--seed=5"], functools.partial(numbers, split="train")),
    "log_every": (["--log_every=1"],
                  functools.partial(runtime_steps, split="train")),
    "eval_every": (["--eval_every=2"],
                   functools.partial(runtime_steps, split="eval")),
    "eval_episodes": (["--eval_episodes=56"],
                      functools.partial(numbers, split="eval")),
    "checkpoint_every": (["--checkpoint_every=2"], saved_steps),
    # No synthetic task reads this field; see the test after the next.
    "data_dir": (["--data_dir=/nowhere"],
                 lambda w: json.loads((w / "config.json").read_text())),
    "cache_dir": (["--cache_dir=/nowhere"],
                  lambda w: json.loads((w / "config.json").read_text())),
    # What these do is in test_parallel.py and test_accumulation.py: results are
    # the same.
    "accumulate": (["--accumulate=2"],
                   lambda w: json.loads((w / "config.json").read_text())),
    "parallel": (["--parallel=shard_map"],
                 lambda w: json.loads((w / "config.json").read_text())),
}
ELSEWHERE = {  # In test_launch_curriculum.py and test_launch_memory.py.
    "curriculum", "reuse_memory",
    # In test_launch_agents.py, test_launch_seeds.py and test_learner.py.
    "agent", "penalty", "rng",
    # In test_data_timeout.py and test_not_finite.py.
    "data_timeout", "skip_nonfinite",
    # In test_init_from.py.
    "init_from"}
NO_FLAG = {"sweep"}  # Several values of other flags.
BASE = [*tiny_flags(optimizer="sgd", learning_rate=0.05, max_grad_norm=3),
        "--steps=4", "--log_every=2"]


@pytest.fixture(scope="module")
def baseline(tmp_path_factory):
  workdir = tmp_path_factory.mktemp("baseline")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pictures, "draw", lambda *_: None)
    assert run(train, *BASE, f"--workdir={workdir}") == 0
  assert runtime_steps(workdir, "train") == [2, 4]
  assert saved_steps(workdir) == [4]
  return workdir


def test_every_field_has_a_test():
  assert set(EFFECTS) == set(config_lib.default_config()) - {
      # --task.X, --core.X and so on: in test_flags.py.
      f"{kind}_args" for kind in config_lib.KINDS} - ELSEWHERE - NO_FLAG


def same(a, b):
  if jax.tree.structure(a) != jax.tree.structure(b):
    return False
  return all(getattr(x, "shape", 0) == getattr(y, "shape", 0)
             and not launch_helpers.differ(x, y) for x, y in zip(
                 jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


# What these change is a line of config.json; other files test the rest.
MERELY_KEPT = {"accumulate", "cache_dir", "data_dir", "parallel"}


@pytest.mark.parametrize("field", [
    pytest.param(field, marks=[pytest.mark.slow] * (field in MERELY_KEPT))
    for field in sorted(EFFECTS)])
def test_flag_has_an_effect(field, baseline, tmp_path, monkeypatch):
  argv, observe = EFFECTS[field]
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  base = BASE
  if field == "task":
    base = [flag for flag in BASE if not flag.startswith("--task.")]
  if field == "optimizer":
    base = [flag for flag in BASE if not flag.startswith("--optimizer")]
  assert run(train, *base, *argv, f"--workdir={tmp_path}") == 0
  value = argv[0].split("=")[1]
  config, default = config_lib.load(tmp_path), config_lib.load(baseline)
  assert config[field] != default[field]
  assert config[field] == type(default[field])(value)
  # The same run observed twice does not differ.
  assert same(observe(baseline), observe(baseline))
  assert not same(observe(tmp_path), observe(baseline))


def test_learning_rate_has_an_effect(baseline, tmp_path, monkeypatch):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  base = [flag for flag in BASE if not flag.startswith("--learning_rate")]
  assert run(train, *base, "--optimizer.learning_rate=0.5",
             f"--workdir={tmp_path}") == 0
  assert config_lib.load(tmp_path).optimizer_args.learning_rate == 0.5
  assert not same(params(tmp_path), params(baseline))


def test_folders_of_data_reach_the_task(baseline, tmp_path, monkeypatch):
  seen = []

  def load(self, split, data_dir):
    seen.append((split, data_dir, str(cache.folder())))
    raise OSError("no data")

  monkeypatch.setattr(tasks.TASKS["copy"], "load", load)
  monkeypatch.setenv("XDG_CACHE_HOME", "/home")
  run(train, "--data_dir=/there", "--cache_dir=/cached",
      f"--workdir={tmp_path}")
  run(train, f"--workdir={tmp_path}")
  run(evaluate, "--data_dir=/there", "--cache_dir=/cached",
      f"--workdir={baseline}")
  run(evaluate, f"--workdir={baseline}")
  assert seen == [("train", "/there", "/cached"),
                  ("train", None, "/home/rmc_nalu_sam"),
                  ("test", "/there", "/cached"),
                  ("test", None, "/home/rmc_nalu_sam")]


def test_run_without_a_workdir(monkeypatch, tmp_path, refuse_to_train):
  made = []
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(train, "prepare", lambda workdir, resume: made.append(
      config_lib.default_workdir(config_lib.resolve("sam_copy", {}, {})))
      or (_ for _ in ()).throw(config_lib.UsageError("enough")))
  assert run(train, "--preset=sam_copy") == config_lib.EXIT_USAGE
  assert [str(path) for path in made] == ["runs/copy-sam-0"]


# Parts that a user defines.

MODULE = '''
import dataclasses

import haiku as hk
import jax.numpy as jnp

import tasks


class Leaky(hk.RNNCore):
  """Keeps a leaky mean of a linear function of the inputs."""

  def __init__(self, hidden_size: int = 11, leak: float = 0.5, name=None):
    super().__init__(name=name)
    self.hidden_size, self.leak = hidden_size, leak

  def __call__(self, inputs, prev_state):
    new = hk.Linear(self.hidden_size)(inputs)
    state = (1 - self.leak) * prev_state + self.leak * new
    return state, state

  def initial_state(self, batch_size):
    batch = [] if batch_size is None else [batch_size]
    return jnp.zeros([*batch, self.hidden_size])


@dataclasses.dataclass(frozen=True)
class Repeat(tasks.TASKS["copy"]):
  """Repeats a sequence."""

  spacing: int = 3
'''


def test_own_core_and_task_from_training_to_the_plot(
    tmp_path, monkeypatch, capsys):
  package = tmp_path / "own_parts"
  package.mkdir()
  (package / "__init__.py").write_text(MODULE)
  monkeypatch.syspath_prepend(str(tmp_path))
  workdir = tmp_path / "run"
  try:
    assert run(train, "--core=own_parts:Leaky", "--core.leak=0.25",
               "--task=own_parts:Repeat", "--task.spacing=5",
               "--task.max_length=2", "--batch_size=8", "--steps=3",
               "--eval_episodes=8", f"--workdir={workdir}") == 0
    config = config_lib.load(workdir)
    assert config.core_args.to_dict() == dict(leak=0.25)
    assert config.task_args.to_dict() == dict(spacing=5, max_length=2)
    # The workdir alone resumes the run; the core's own flag is still valid.
    assert run(train, "--core.leak=0.25", "--steps=5",
               f"--workdir={workdir}") == 0
    assert saved_steps(workdir)[-1] == 5
    assert run(train, "--core.leak=0.5",
               f"--workdir={workdir}") == config_lib.EXIT_USAGE
    assert "core.leak=0.25" in capsys.readouterr().err
    assert run(evaluate, f"--workdir={workdir}", "--episodes=8",
               "--core.leak=0.5") == 0
    assert (workdir / "evaluation.json").exists()
    picture = tmp_path / "curves.png"
    assert run(plot, f"--output={picture}", workdir) == 0
    assert picture.exists()
  finally:
    sys.modules.pop("own_parts", None)


# These need a child process.


def test_reader_that_closes_stdout():
  with launch_helpers.start(["-m", "launch.train", "--list"]) as process:
    process.stdout.close()  # Before the program writes, as `| head` may do.
    assert process.stderr.read() == ""
    assert process.wait(timeout=300) == endings.EXIT_PIPE


# SIGINT comes while the program's own module is being imported.
IMPORTING = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
  def find_spec(name, path, target=None):
    if name == "absl.app":
      signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv[:] = ["-m"]
runpy.run_module(PROGRAM, run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_during_imports():
  processes = [
      launch_helpers.start(["-c", f"PROGRAM = {program.__name__!r}{IMPORTING}"])
      for program in PROGRAMS]
  for process in processes:
    assert process.communicate(timeout=300) == (
        "", "interrupted before the start; start again with the same command\n")
    assert process.returncode == endings.EXIT_INTERRUPTED


# C code runs, as if XLA compiled; or Python would print and forget the error.
STUCK = """
import ctypes, sys
from launch import plot
class Forgetting:
  def __del__(self):
    while True:
      pass
def main(argv):
  print("once", flush=True)
  if sys.argv[-1] == "c":
    while True:
      ctypes.CDLL(None).sleep(300)
  Forgetting()
plot.main = main
plot.run()
"""


def test_ctrl_c_while_python_cannot_hear_it():
  processes = [launch_helpers.start(["-c", STUCK, how])
               for how in ("c", "finaliser")]
  for process in processes:
    assert launch_helpers.interrupt(process, after="once\n") == (
        "", "interrupted; start again with the same command\n")
    assert process.returncode == endings.EXIT_INTERRUPTED


def test_ctrl_c_that_a_library_turned_into_its_own_error(monkeypatch, capsys):
  def fail(argv):
    try:
      raise KeyboardInterrupt
    except KeyboardInterrupt as error:
      raise ImportError("a part of a library") from error

  monkeypatch.setattr(plot, "main", fail)
  assert run(plot) == endings.EXIT_INTERRUPTED
  assert capsys.readouterr().err == (
      "interrupted; start again with the same command\n")


# Seconds after the start, or a word on stderr.
MOMENTS = (.3, 1., 2., 4., "run in", "start at", "compiling", "step 2/",
           "eval_")


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_at_any_moment_of_training(moment, tmp_path):
  process = launch_helpers.start(
      ["-m", "launch.train", *tiny_flags("sam"), "--steps=100000",
       "--log_every=2", "--eval_every=10", f"--workdir={tmp_path}"])
  if isinstance(moment, str):
    for line in process.stderr:
      if moment in line:
        break
  else:
    time.sleep(moment)
  out, err = launch_helpers.interrupt(process)
  assert process.returncode == endings.EXIT_INTERRUPTED, err
  assert "Traceback" not in err
  *before, last = err.splitlines()
  assert last.startswith("interrupted")
  assert all(re.match(r"I\d|step \d", line) for line in before), before
  assert out == ""


@pytest.mark.slow
@pytest.mark.parametrize("moment", [.5, 2., 5., 8.])
@pytest.mark.parametrize("program, argv", [
    ("benchmark", ["--suite=sampling"]), ("train", ["--describe=sam_copy"]),
    ("reproduce", ["--experiment=nau_nmu_add", "--scale=tiny"])])
def test_ctrl_c_at_any_moment_of_other_programs(
    program, argv, moment, tmp_path):
  folders = {"benchmark": [f"--output={tmp_path}"], "train": [],
             "reproduce": [f"--runs={tmp_path}", f"--results={tmp_path}"]}
  process = launch_helpers.start(
      ["-m", f"launch.{program}", *argv, *folders[program]])
  time.sleep(moment)
  _, err = launch_helpers.interrupt(process)
  assert process.returncode == endings.EXIT_INTERRUPTED, err
  assert "Traceback" not in err
  assert err.splitlines()[-1].startswith("interrupted")


@pytest.mark.parametrize("program", [*PROGRAMS, sample, describe, reproduce],
                         ids=lambda each: each.__name__)
def test_short_help(program, capsys):
  assert launch_helpers.run(program, "-h", "--no_such_flag") == 0
  text = capsys.readouterr().out
  assert text.startswith(program.__doc__.split("\n")[0])
  assert f"\n  python -m {program.__name__} " in text
  lines = text.splitlines()
  assert len(lines) <= 60
  assert all(len(line) <= 80 for line in lines)
  shown = [line.split()[0] for line in lines if line.startswith("  --")]
  assert len(shown) == len(set(shown)) > 2
  assert ("--describe=NAME" in text) == (program is train)


def test_training_without_flags_tells_how_to_begin(capsys, tmp_path,
                                                   monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert run(train) == config_lib.EXIT_USAGE
  assert "--preset=sam_copy" in capsys.readouterr().out
  assert not list(tmp_path.iterdir())


def test_a_run_without_a_workdir_gets_a_new_one(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  flags_of_run = [*tiny_flags(), "--steps=2"]
  for _ in range(2):
    assert run(train, *flags_of_run) == 0
  assert run(train, *flags_of_run[:-1], "--resume", "--steps=3") == 0
  found = {path.name: saved_steps(path) for path in
           (tmp_path / "runs").iterdir()}
  assert found == {"copy-lstm-0": [2, 3], "copy-lstm-0-2": [2]}


def test_version(capsys):
  assert launch_helpers.run(plot, "--version") == 0
  assert capsys.readouterr().out == (
      f"rmc_nalu_sam {rmc_nalu_sam.__version__}, jax {jax.__version__}, "
      f"python {platform.python_version()}\n")


@pytest.mark.parametrize("program, argv, line", [
    (train, ["--stepz=3"], "unknown flag --stepz; did you mean steps?"),
    (train, ["--steps=many"], "flag --steps=many: invalid literal for int() "
     "with base 10: 'many'"),
    (train, ["copy"], "unexpected word 'copy'; a flag is written --NAME=VALUE"),
    (evaluate, [], "--workdir is missing"),
    (evaluate, ["--workdir=a", "--", "-h"], "unexpected word '-h'; a flag is w"
     "ritten --NAME=VALUE"),
    (benchmark, ["--suite=x", "--output=y"], "flag --suite=x: value should be "
     f"one of <{'|'.join(sorted(benchmarks.SUITES))}>"),
    (compare, [], "--reference is missing")])
def test_a_mistake_in_the_command_line_is_one_line(program, argv, line, capsys):
  assert launch_helpers.run(program, *argv) == config_lib.EXIT_USAGE
  assert capsys.readouterr() == (
      "", f"error: {line}; --help shows the flags\n")


def test_long_help_list_and_describe(capsys):
  processes = {name: launch_helpers.start(["-m", name, "--helpfull"])
               for name in ("launch.train", "launch.evaluate")}
  out = {}
  for flag in ("--list", "--describe=sam_copy"):
    assert run(train, flag) == 0
    out[flag] = " ".join(capsys.readouterr().out.split())
  for name, process in processes.items():
    printed, err = process.communicate(timeout=300)
    assert process.returncode == 1  # absl's, for --helpfull.
    assert "Traceback" not in err
    out[name] = " ".join(printed.split())
  # Names come from the registries; the help must show all of them.
  text, listed = out["launch.train"], out["--list"]
  names = [*experiments.preset_names(), *(
      name for registry in members.REGISTRIES.values() for name in registry)]
  for name in names:
    assert name in listed
    assert name in text
  for name in ("--workdir", "--preset", "--cpu_devices", "--list",
               "--describe"):
    assert name in text
  for name in EFFECTS.keys() | ELSEWHERE:
    assert f"--{name}:" in text or f"--[no]{name}:" in text
  assert "Paper: Rae et al. 2016" in out["--describe=sam_copy"]
  for name in ("--levels", "--core.num_slots"):
    assert name in out["launch.evaluate"]
