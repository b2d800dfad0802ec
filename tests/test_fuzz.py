"""Random command lines and models: each one runs, or is refused in one line.

Property-based tests with Hypothesis. They are slow:

  python -m pytest -m slow -n 0 -s tests/test_fuzz.py

`-s` prints each command line and what became of it. Seeds are fixed, so the
same version of Hypothesis draws the same lines.
"""

import contextlib
import gc
import io
import json
import pathlib
import re
import shutil
import time
import traceback
from typing import Any
from unittest import mock

import fuzz_strategies
import hypothesis
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
from launch.pictures import run as pictures
from launch.runs import Run
from tasks.mnist import reader

pytestmark = pytest.mark.slow

PARTS, LINES = 8, 40  # Each part has a seed of its own.
SECONDS = 500  # Of a part; the lines after that are skipped.
EXTREME = 1e3  # A loss may be infinite for numbers of this size, or 1 / this.
HUGE = 2**20  # Memory may not suffice for sizes of this.
# Addresses that a process may take beside what it has.
MEMORY = 12 * 2**30
SETTINGS = dict(
    deadline=None, database=None, phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  """Returns a folder with a little of the data of every task."""
  root = tmp_path_factory.mktemp("data")
  for split, names in reader.FILES.items():
    for name, arrays in zip(names, (test_mnist_data.IMAGES,
                                    test_mnist_data.LABELS), strict=True):
      (root / name).write_bytes(test_mnist_data.pack(idx(arrays[split])))
  test_omniglot_data.write_archives(root)
  write_babi(root, range(1, 21))
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
  lines = [line for line in err.splitlines()
           if not re.match(r"[IWE]\d{4} |WARNING", line)]
  if status == 1:  # Of absl; its last line is advice.
    assert lines[0].startswith("FATAL Flags parsing error:")
    assert len(lines) <= 3
    line = " ".join(lines)
  else:
    (line,) = lines
    numbers = numbers_in(flags)
    if status == train.EXIT_DIVERGED:
      assert line.startswith("diverged: ")
      assert any(x >= EXTREME or 0 < x <= 1 / EXTREME for x in numbers), line
    else:
      assert line.startswith("error: ")
      assert status == config_lib.EXIT_USAGE or (
          status == endings.EXIT_RESOURCES and max(numbers) >= HUGE), line
  assert any(word in line for word in (
      *fuzz_strategies.FLAG_NAMES, *filter(None, map(str, flags.values())))
             ), line
  return f"refused {status}: {line}"


def check_run(workdir: pathlib.Path, flags: dict[str, Any]) -> str:
  """Checks the records of a run that was trained, and that it can go on."""
  found = Run(workdir)
  steps = found.config.steps
  last = found.last("train")
  assert last["step"] == steps
  assert np.isfinite(last["loss"]).all(), last
  assert found.last("eval")["step"] == steps
  assert np.isfinite(found.last("eval")[found.main_metric]).all()
  assert np.all(saved_state(workdir).train.step == steps)
  json.loads((workdir / "config.json").read_text())
  return "trained"


def outcome(flags: dict[str, Any], num_devices: int, folder: pathlib.Path,
            workdir: pathlib.Path) -> str:
  """Trains by a command line; returns what became of it, in a line.

  Raises:
    Exception: What the property forbids.
  """
  shutil.rmtree(workdir, ignore_errors=True)
  argv = [f"--{name}={value}" for name, value in {
      "data_dir": folder, "cache_dir": folder / "cache", **flags}.items()]
  err = io.StringIO()
  with contextlib.redirect_stderr(err), devices(num_devices):
    status = run(train, *argv, f"--workdir={workdir}")
  if status:
    return check_refusal(status, err.getvalue(), flags)
  return check_run(workdir, flags)


@pytest.mark.parametrize("part", range(PARTS))
def test_command_lines(part, folder, tmp_path):
  found: dict[str, str] = {}
  failures: list[str] = []
  start = time.monotonic()

  @hypothesis.seed(part)
  @hypothesis.settings(max_examples=5 * LINES, **SETTINGS)
  @hypothesis.given(fuzz_strategies.command_lines(),
                    hypothesis.strategies.integers(1, 2))
  def trains_or_is_refused(flags, num_devices):
    line = " ".join(f"--{name}={value}" for name, value in flags.items())
    if (line in found or len(found) == LINES
        or time.monotonic() - start > SECONDS):
      return
    print(f"\n{num_devices} devices: {line}", flush=True)
    before = time.monotonic()
    try:
      found[line] = outcome(flags, num_devices, folder, tmp_path / "run")
    except Exception:
      found[line] = "FAILED"
      failures.append(f"{line}\n{traceback.format_exc()}")
      print(traceback.format_exc())
    print(f"{time.monotonic() - before:.1f} s: {found[line]}", flush=True)
    if len(found) % 20 == 0:  # See conftest.clear_caches.
      jax.clear_caches()
      gc.collect()

  trains_or_is_refused()
  trained = [*found.values()].count("trained")
  print(f"\npart {part}: {len(found)} lines, {trained} trained, "
        f"{len(found) - trained - len(failures)} refused, {len(failures)} "
        f"failed, {time.monotonic() - start:.0f} s")
  assert not failures, "\n\n".join(failures)
  assert trained and trained < len(found)
  assert len(found) >= LINES or time.monotonic() - start > SECONDS
