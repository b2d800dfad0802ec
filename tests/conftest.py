"""Strict JAX settings, and where the data lies that not everybody has."""

import functools
import gc
import os
import pathlib

# Before JAX is imported; subprocesses inherit it. Set it to test on a GPU.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
# Most of a test's time goes into compiling small programs: do so in a hurry.
# XLA's older way from a fusion to LLVM takes a third of the time of the newer,
# where it is still there (in JAX 0.10 and 0.11). The compiled program that some
# tests look at differs in one thing: an instruction on its own is no fusion. So
# test_compiled.py also runs itself with the flags of a user, who sets none.
os.environ.setdefault(
    "RMC_NALU_SAM_USER_XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
os.environ["XLA_FLAGS"] = " ".join([
    os.environ["RMC_NALU_SAM_USER_XLA_FLAGS"],
    *([] if os.environ.get("RMC_NALU_SAM_COMPILE_AS_USER") else [
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"])])

import jax
import pytest

NUM_DEVICES = 4

# Nothing may touch a device before this; test_settings.py checks that it held.
jax.config.update("jax_num_cpu_devices", NUM_DEVICES)


@pytest.fixture(autouse=True, scope="module")
def clear_caches():
  """Frees what a file's tests compiled.

  A process may map some 65,000 pieces of memory, each program takes several,
  and beyond that XLA crashes.
  """
  yield
  jax.clear_caches()
  gc.collect()


@pytest.fixture
def x64():
  """Float64 in this test."""
  with jax.enable_x64(True):
    yield


@pytest.fixture
def strict_promotion():
  """No type turns into another without a cast. (Optax needs it to.)"""
  with jax.numpy_dtype_promotion("strict"):
    yield


@pytest.fixture
def use_devices(monkeypatch):
  """Makes the first n devices all that there are."""
  local, pmap = jax.local_devices(), jax.pmap

  def use(number):
    assert number <= len(local)
    chosen = local[:number]
    monkeypatch.setattr(jax, "local_devices", lambda: chosen)
    monkeypatch.setattr(jax, "local_device_count", lambda: number)
    monkeypatch.setattr(jax, "pmap", functools.partial(pmap, devices=chosen))

  return use


@pytest.fixture
def data_root() -> pathlib.Path:
  """The folder of the real data sets; the test is skipped without it."""
  return _folder("RMC_NALU_SAM_DATA", "the real data sets")


@pytest.fixture
def golden_root() -> pathlib.Path:
  """The folder of other implementations' numbers; skipped without it."""
  return _folder("RMC_NALU_SAM_GOLDEN", "other implementations' numbers")


def _folder(variable: str, what: str) -> pathlib.Path:
  if not os.environ.get(variable):
    pytest.skip(f"set {variable} to the folder of {what}")
  path = pathlib.Path(os.environ[variable])
  # A misspelt folder must not look like a skipped test.
  assert path.is_dir(), f"{variable}={path} is no folder"
  return path
