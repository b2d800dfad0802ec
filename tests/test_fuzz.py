"""Random command lines and models: each one runs, or is refused in one line.

Property-based tests with Hypothesis. They are slow:

  python -m pytest -m slow -n 0 -s tests/test_fuzz.py

`-s` prints each command line and what became of it. Seeds are fixed, so the
same version of Hypothesis draws the same lines.
"""

import contextlib
import gc
import io
import pathlib
import re
import shlex
import shutil
import time
import traceback
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest
import test_mnist_data
import test_omniglot_data
import text_helpers
from data_helpers import idx, write_babi
from launch_helpers import run, saved_state

from launch import evaluate, train
from launch.configs import config as config_lib
from launch.configs import endings, environment
from launch.configs import flags as flags_lib
from launch.pictures import film
from launch.pictures import run as pictures
from launch.runs import Run
from rmc_nalu_sam import make_model
from tasks.mnist import reader

hypothesis = pytest.importorskip(
    "hypothesis", reason="needs the package hypothesis: pip install "
    "-e '.[test]'")
import fuzz_strategies  # noqa: E402  (It needs the package, too.)

pytestmark = pytest.mark.slow

PARTS, LINES = 8, 40  # Each part has a seed of its own.
MODEL_PARTS, MODELS = 2, 80
SECONDS = 500  # Of a part; the lines after that are skipped.
LEVELS = ("1", "2,5", "17", "0", "x", "2147483648")
EXTREME = 1e3  # A loss may be infinite for numbers of this size, or 1 / this.
HUGE = 2**20  # Memory may not suffice for sizes of this.
# Addresses that a process may take beside what it has.
MEMORY = 12 * 2**30
DONE = "done"  # What became of a line or model that was not refused.


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  """Returns a folder with a little of the data of every task.

  Of bAbI there are three tasks, so a run on all of them is refused: it would be
  evaluated on each.
  """
  root = tmp_path_factory.mktemp("data")
  for split, names in reader.FILES.items():
    for name, arrays in zip(names, (test_mnist_data.IMAGES,
                                    test_mnist_data.LABELS), strict=True):
      (root / name).write_bytes(test_mnist_data.pack(idx(arrays[split])))
  test_omniglot_data.write_archives(root)
  for path in write_babi(root, (1, 8, 19)).glob("qa19_*"):
    path.write_text(re.sub("1 [ENSW] [ensw]", "1 North east",
                           path.read_text()))
  text_helpers.write(root)
  return root


@pytest.fixture(autouse=True)
def limited_memory():
  """Makes a huge array an error, not the end of this machine."""
  resource = pytest.importorskip("resource")
  soft, hard = resource.getrlimit(resource.RLIMIT_AS)
  status = pathlib.Path("/proc/self/statm")
  if not status.exists():
    pytest.skip("needs /proc to limit the memory")
  has = int(status.read_text().split()[0]) * resource.getpagesize()
  resource.setrlimit(resource.RLIMIT_AS, (has + MEMORY, hard))
  yield
  resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def devices(count: int):
  """Shows a program this many devices, and lets it ask for others in vain."""
  found = jax.local_devices()[:count]
  with (mock.patch.object(jax, "local_devices", lambda: found),
        mock.patch.object(jax, "local_device_count", lambda: count),
        mock.patch.object(flags_lib, "apply_device_flags",
                          environment.pin_settings),
        mock.patch.object(film, "draw_run", lambda *_: None),
        mock.patch.object(pictures, "draw", lambda *_: None)):
    yield


def numbers_in(flags: dict[str, Any]) -> list[float]:
  """Returns the numbers of a command line, but for seeds."""
  return [abs(float(word)) for name, value in flags.items()
          if not name.endswith("seed")
          for word in re.split("[,;]", str(value))
          if re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", word)]


def check_refusal(status: int, err: str, flags: dict[str, Any]) -> str:
  """Checks the message of a program that refused to go on."""
  assert "Traceback" not in err
  (line,) = (line for line in err.splitlines()
             if not re.match(r"[IWE]\d{4} |WARNING", line))
  numbers = numbers_in(flags)
  if status == train.EXIT_DIVERGED:
    assert line.startswith("diverged: ")
    assert any(x >= EXTREME or 0 < x <= 1 / EXTREME for x in numbers), line
  else:
    assert line.startswith("error: ")
    assert status == config_lib.EXIT_USAGE or (
        status == endings.EXIT_RESOURCES and max(numbers) >= HUGE), line
  given = re.findall(r"[\w.-]+", " ".join(map(str, flags.values())))
  assert any(word in line for word in (
      *fuzz_strategies.FLAG_NAMES, *flags, *given))
  return f"refused {status}: {line}"


def check_run(workdir: pathlib.Path) -> None:
  """Checks the records of a run that was trained, and that it can go on."""
  found = Run(workdir)
  steps = found.config.steps
  last = found.last("train")
  assert last["step"] == steps
  assert np.isfinite(last["loss"]).all(), last
  assert found.last("eval")["step"] == steps
  assert np.isfinite(found.last("eval")[found.main_metric]).all()
  assert np.all(saved_state(workdir).train.step == steps)


def outcome(flags: dict[str, Any], num_devices: int, levels: str,
            folder: pathlib.Path, workdir: pathlib.Path) -> str:
  """Trains by a command line; returns what became of it, in a line.

  Args:
    flags: of the training.
    num_devices: that there are.
    levels: to evaluate the trained network at; none if empty.
    folder: of data.
    workdir: of the run.

  Raises:
    Exception: What the property forbids.
  """
  shutil.rmtree(workdir, ignore_errors=True)
  argv = [f"--{name}={value}" for name, value in {
      "data_dir": folder, "cache_dir": folder / "cache", **flags}.items()]
  print("python -m launch.train", shlex.join(argv), flush=True)
  err = io.StringIO()
  with contextlib.redirect_stderr(err), devices(num_devices):
    status = run(train, *argv, f"--workdir={workdir}")
  if status:
    return check_refusal(status, err.getvalue(), flags)
  check_run(workdir)
  if levels:
    err = io.StringIO()
    with contextlib.redirect_stderr(err), devices(num_devices):
      status = run(evaluate, f"--workdir={workdir}", f"--levels={levels}",
                   "--episodes=2")
    if status:
      check_refusal(status, err.getvalue(), flags | {"levels": levels})
  return DONE


def draw(strategy: Any, number: int) -> Any:
  """Returns what a strategy draws with a seed.

  Hypothesis repeats and varies what it drew before, to find small examples of a
  failure. Here most of these would be refused for the same reason. So each run
  of Hypothesis has one example, behind its first one, the least of all.
  """
  drawn = []

  @hypothesis.seed(number)
  @hypothesis.settings(
      max_examples=2, deadline=None, database=None,
      phases=[hypothesis.Phase.generate],
      suppress_health_check=list(hypothesis.HealthCheck))
  @hypothesis.given(strategy)
  def note(example):
    drawn.append(example)

  note()
  return drawn[-1]


def check_each(strategy: Any, numbers: range, check: Any) -> None:
  """Checks what a strategy draws with each seed, and prints what came of it.

  Collects all failures, so that a run finds several kinds of them. Stops after
  `SECONDS`, and then says how many were left out.

  Args:
    strategy: draws the arguments of `check`.
    numbers: the seeds.
    check: returns `DONE`, or "refused" with the reason; raises what the
      property forbids.
  """
  found: list[str] = []
  failures: list[str] = []
  start = time.monotonic()
  for number in numbers:
    if time.monotonic() - start > SECONDS:
      break
    drawn = draw(strategy, number)
    print(f"\n{number}: {drawn}", flush=True)
    try:
      found.append(check(*drawn))
    except Exception:
      found.append("FAILED")
      failures.append(f"{number}: {drawn}\n{traceback.format_exc()}")
      print(traceback.format_exc())
    print(f"{time.monotonic() - start:.0f} s: {found[-1]}", flush=True)
    if len(found) % 20 == 0:  # See conftest.clear_caches.
      jax.clear_caches()
      gc.collect()
  done, failed = found.count(DONE), len(failures)
  print(f"\n{done} {DONE}, {len(found) - done - failed} refused, {failed} "
        f"failed, {len(numbers) - len(found)} left out after {SECONDS} s")
  assert not failures, "\n\n".join(failures)
  assert 0 < done < len(found)
  assert len(found) == len(numbers) or time.monotonic() - start > SECONDS


@pytest.mark.parametrize("part", range(PARTS))
def test_command_lines(part, folder, tmp_path):
  lines = hypothesis.strategies.tuples(
      fuzz_strategies.command_lines(), hypothesis.strategies.integers(1, 2),
      hypothesis.strategies.sampled_from(("",) * 4 + LEVELS))
  check_each(
      lines, range(part * LINES, (part + 1) * LINES),
      lambda flags, num_devices, levels: outcome(
          flags, num_devices, levels, folder, tmp_path / "run"))


def unroll(arguments: dict[str, Any], sizes: tuple[int, int, int | None]
           ) -> str:
  """Unrolls a model by random numbers; returns what became of it.

  Raises:
    Exception: What the property forbids.
  """
  steps, batch, size = sizes
  try:
    model = make_model(**arguments)
  except (TypeError, ValueError) as error:
    assert str(error)
    assert "\n" not in str(error)
    return f"refused: {error}"
  key = jax.random.key(0)
  shape = (steps, batch) if size is None else (steps, batch, size)
  inputs = (jax.random.randint(key, shape, 0, arguments["output_size"])
            if size is None else jax.random.uniform(key, shape))
  params = model.init(key, inputs)
  start = model.initial_state(params, batch)
  found = jax.jit(model.unroll)(params, None, inputs, start)
  assert found.outputs.shape == (steps, batch, arguments["output_size"])
  for old, new in zip(jax.tree.leaves(start), jax.tree.leaves(found.state),
                      strict=True):
    assert (old.shape, old.dtype) == (new.shape, new.dtype)
  numbers = [abs(x) for x in jax.tree.leaves(arguments)
             if isinstance(x, int | float)]
  assert any(x >= EXTREME or 0 < x <= 1 / EXTREME for x in numbers) or (
      np.isfinite(found.outputs).all())
  return DONE


@pytest.mark.parametrize("part", range(MODEL_PARTS))
def test_models(part):
  check_each(fuzz_strategies.models(),
             range(part * MODELS, (part + 1) * MODELS), unroll)
