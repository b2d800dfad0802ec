"""Sets JAX up strictly, and finds data that is not in the repository."""

import atexit
import gc
import os
import pathlib
import shutil
import signal
import tempfile
import threading

# This must precede the import of JAX. Subprocesses inherit the variable. To
# test on a GPU, set it before starting pytest.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Most of a test's time goes into compiling small programs, so these flags make
# XLA optimise little. XLA's older fusion emitters take a third of the time of
# the newer ones. JAX 0.10 and 0.11 still have the older ones. Some tests read
# compiled programs. With these flags, the programs differ in one way: a single
# instruction is not made a fusion. So test_compiled.py also runs itself with a
# user's flags.
os.environ.setdefault(
    "RMC_NALU_SAM_USER_XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
os.environ["XLA_FLAGS"] = " ".join([
    os.environ["RMC_NALU_SAM_USER_XLA_FLAGS"],
    *([] if os.environ.get("RMC_NALU_SAM_COMPILE_AS_USER") else [
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
        "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"])])

# A job in the background of a shell ignores SIGINT, and so would the programs
# that tests interrupt.
if (signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()):
  signal.signal(signal.SIGINT, signal.default_int_handler)

# All processes of a session share compiled programs. These processes are
# pytest-xdist's workers and the programs that tests start.
if "RMC_NALU_SAM_TEST_CACHE" not in os.environ:
  os.environ["RMC_NALU_SAM_TEST_CACHE"] = tempfile.mkdtemp(prefix="test-cache-")
  atexit.register(
      shutil.rmtree, os.environ["RMC_NALU_SAM_TEST_CACHE"], ignore_errors=True)
os.environ |= {
    "JAX_COMPILATION_CACHE_DIR": os.environ["RMC_NALU_SAM_TEST_CACHE"],
    # Saves a twentieth of the time of lowering.
    "JAX_TRACEBACK_IN_LOCATIONS_LIMIT": "0",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}

import jax
import jax.experimental
import pytest

NUM_DEVICES = 4

if not hasattr(jax, "enable_x64"):  # Before JAX 0.8.
  jax.enable_x64 = jax.experimental.enable_x64

# No code may use a device before this line. test_settings.py checks it.
jax.config.update("jax_num_cpu_devices", NUM_DEVICES)


def pytest_collection_finish():
  """Keeps what was imported and collected out of Python's garbage collection.

  Otherwise each collection would look at more than a million of objects that
  stay to the end. And there are fewer collections, since tracing makes many
  objects at once.
  """
  gc.collect()
  gc.freeze()
  gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True, scope="module")
def clear_caches():
  """Frees the programs that a file's tests compiled.

  A process may map about 65,000 pieces of memory. Each program takes several.
  XLA crashes beyond this limit.
  """
  yield
  jax.clear_caches()
  gc.collect()


@pytest.fixture
def x64():
  """Turns on float64 in this test."""
  with jax.enable_x64(True):
    yield


@pytest.fixture
def strict_promotion():
  """Refuses implicit casts and ranks in this test. (Optax needs them.)"""
  with (jax.numpy_dtype_promotion("strict"),
        jax.numpy_rank_promotion("raise")):
    yield


@pytest.fixture
def strict_ranks():
  """Refuses implicit ranks in this test."""
  with jax.numpy_rank_promotion("raise"):
    yield


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> pathlib.Path:
  """Puts the cache of converted data into a folder that is not there yet."""
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own_cache"))
  return tmp_path / "own_cache" / "rmc_nalu_sam"


@pytest.fixture
def data_root() -> pathlib.Path:
  """Returns the folder of the real data sets; skips the test without it."""
  return _folder("RMC_NALU_SAM_DATA", "the real data sets")


@pytest.fixture
def golden_root() -> pathlib.Path:
  """Returns the folder of other implementations' numbers, or skips the test."""
  return _folder("RMC_NALU_SAM_GOLDEN", "other implementations' numbers")


def _folder(variable: str, what: str) -> pathlib.Path:
  if not os.environ.get(variable):
    pytest.skip(f"set {variable} to the folder of {what}")
  path = pathlib.Path(os.environ[variable])
  # A misspelt folder must fail, not skip the test.
  assert path.is_dir(), f"{variable}={path} is no folder"
  return path
