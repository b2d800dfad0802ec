"""What a shell, kernel or cluster exports does not reach a run."""

import os
import subprocess
import sys

import jax
import launch_helpers
import pytest
from config_helpers import environment
from launch_helpers import run, tiny_flags

from launch import plot, train
from launch.configs import environment as environment_lib
from launch.pictures import layout

# Prints what a program would draw and compute with.
PROGRAM = """
import sys
import jax
import launch.benchmark, launch.compare, launch.evaluate, launch.plot
import launch.sample, launch.train
from launch.configs import environment
from launch.pictures import layout
print("matplotlib" in sys.modules)
print(layout.new_figure().canvas.__class__.__name__)
environment.pin_settings()
print(jax.numpy.ones(2).dtype, jax.random.key(0).dtype)
print(jax.random.normal(jax.random.key(3, impl="threefry2x32"), 3).tolist())
"""


def test_exports_do_not_reach_a_program():
  exported = {"MPLBACKEND": "module://of_a_kernel.that_is_not_here",
              "JAX_ENABLE_X64": "1", "JAX_NUMPY_DTYPE_PROMOTION": "strict",
              "JAX_DEFAULT_PRNG_IMPL": "rbg", "JAX_THREEFRY_PARTITIONABLE": "0"}
  done = subprocess.run(
      [sys.executable, "-c", PROGRAM], cwd=launch_helpers.ROOT, text=True,
      env=environment() | exported, capture_output=True, check=False)
  assert done.returncode == 0, done.stderr
  imported, canvas, types, numbers = done.stdout.splitlines()
  assert imported == "False"  # By no program before its first picture.
  assert canvas == "FigureCanvasBase"
  assert types == "float32 key<fry>"
  assert numbers == str(jax.random.normal(jax.random.key(3), 3).tolist())
  for name in ("JAX_ENABLE_X64=1", "JAX_DEFAULT_PRNG_IMPL=rbg"):
    assert f"ignored {name} of the environment" in done.stderr


def test_what_is_not_exported_is_kept(monkeypatch):
  monkeypatch.delenv("JAX_ENABLE_X64", raising=False)
  with jax.enable_x64(True):  # A user's own module may do so.
    environment_lib.pin_settings()
    assert jax.config.jax_enable_x64


@pytest.mark.parametrize("backend", ["nonsense", "module://nowhere"])
def test_a_figure_needs_no_backend(monkeypatch, backend):
  monkeypatch.setenv("MPLBACKEND", backend)
  for name in [name for name in sys.modules if name.startswith("matplotlib")]:
    monkeypatch.delitem(sys.modules, name)
  layout.new_figure()
  assert os.environ["MPLBACKEND"] == backend


def test_a_broken_matplotlib_costs_pictures_only(tmp_path, monkeypatch, capsys,
                                                 caplog):
  monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
  assert run(train, *tiny_flags(), "--steps=2", f"--workdir={tmp_path}") == 0
  assert "evaluation: " in capsys.readouterr().out
  lines = [line for line in caplog.messages if "no picture of the" in line]
  assert lines
  assert "learning curve: UsageError: matplotlib cannot be import" in lines[0]
  assert not list(tmp_path.glob("*.png"))
  assert run(plot, tmp_path, f"--output={tmp_path / 'a.png'}") == 2
  err = capsys.readouterr().err.strip()
  assert err.startswith("error: matplotlib cannot be imported")
  assert "\n" not in err
