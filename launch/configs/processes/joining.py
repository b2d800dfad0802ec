"""How a process joins the others of its run: by flags, or as JAX finds them.

JAX's distributed runtime connects the processes. What they do together stands
in `hosts.py`.
"""

import contextlib
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags, logging

from launch.configs.config import EXIT_USAGE, UsageError
from launch.configs.processes import hosts

FLAGS = flags.FLAGS
_NAMES = ("coordinator_address", "num_processes", "process_id")
# Where launchers that JAX knows put the number of processes that they started.
_COUNTS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "MEGASCALE_NUM_SLICES")


def define_flags() -> None:
  """Defines the flags that tell a process of the others."""
  flags.DEFINE_string(
      "coordinator_address", None, "HOST:PORT of process 0, where all "
      "processes of a run meet. Default: no other processes, or as Slurm, Open "
      "MPI, Kubernetes or Cloud TPU tell JAX.")
  flags.DEFINE_integer(
      "num_processes", None, "Number of processes that train the run together, "
      "the same for all. 1: alone, whatever started this process.")
  flags.DEFINE_integer(
      "process_id", None, "Number of this process, from 0 on. Process 0 writes "
      "the run's files.")
  flags.DEFINE_integer(
      "coordinator_timeout", 300, "Seconds that the processes wait for each "
      "other at the start.", lower_bound=1)


def join() -> None:
  """Connects this process with the others of the run, if there are any.

  Must be called before a device is used.

  Raises:
    UsageError: the flags do not fit together, the others cannot be reached, or
      the processes have different numbers of devices.
  """
  given = {name: FLAGS[name].value for name in _NAMES}
  if tuple(given.values()) == (None, 1, None):
    return
  if any(value is not None for value in given.values()):
    _check(**given)
    _initialize(given)
  elif _was_launched():
    _initialize({})
  if jax.distributed.is_initialized():
    _check_devices()
    if not hosts.is_first():
      logging.set_verbosity(logging.ERROR)


def _check(coordinator_address, num_processes, process_id):
  """Refuses flags that do not fit together."""
  values = (coordinator_address, num_processes, process_id)
  missing = [f"--{name}" for name, value in zip(_NAMES, values, strict=True)
             if value is None]
  if missing:
    raise UsageError(
        f"{', '.join(missing)} missing: give all of --coordinator_address, "
        "--num_processes and --process_id, or none where JAX finds them itself")
  if num_processes < 1:
    raise UsageError(
        f"--num_processes={num_processes} is too small; give at least 1")
  if not 0 <= process_id < num_processes:
    raise UsageError(
        f"--process_id={process_id} is out of range; with --num_processes="
        f"{num_processes} it is from 0 to {num_processes - 1}")
  found = re.fullmatch(r".+:(\d+)", coordinator_address)
  if not found or not 0 < int(found[1]) < 2**16:
    raise UsageError(
        f"--coordinator_address={coordinator_address} has no valid port; give "
        "HOST:PORT, such as localhost:12345")
  if process_id == 0:
    _check_port(int(found[1]))


def _check_port(port: int) -> None:
  """Refuses a port that is taken: JAX would crash."""
  with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind(("", port))
    except OSError as error:
      raise UsageError(f"cannot use port {port} of --coordinator_address on "
                       f"this machine ({error.strerror}); choose another one"
                       ) from None


def _was_launched() -> bool:
  """Returns whether something started several processes, as far as one sees."""
  env = os.environ
  return (_num_launched() > 1 or "," in env.get("TPU_WORKER_HOSTNAMES", "")
          or {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= env.keys()
          or _has_tpu())


def _num_launched() -> int:
  """Returns the number of processes that a launcher started; 1 without one."""
  counts = {name: os.environ.get(name, "") for name in _COUNTS}
  if "SLURM_STEP_NODELIST" not in os.environ:  # Slurm did not start this one.
    del counts["SLURM_NTASKS"]
  return max((int(count) for count in counts.values() if count.isdigit()),
             default=1)


def _has_tpu() -> bool:
  """Returns whether this may be a host of a TPU slice: only JAX can tell."""
  platforms = os.environ.get("JAX_PLATFORMS") or "tpu"
  return ("tpu" in platforms and util.find_spec("libtpu") is not None
          and any(path for name in ("accel[0-9]*", "vfio/[0-9]*")
                  for path in Path("/dev").glob(name)))


def _initialize(given: dict[str, Any]) -> None:
  timeout = FLAGS.coordinator_timeout
  address = given.get("coordinator_address", "that JAX found")
  try:
    with _time_limit(timeout, (
        f"the processes did not meet within --coordinator_timeout={timeout} "
        f"seconds at the coordinator address {address}; check that all of "
        "them were started, and that they can reach process 0 there")):
      jax.distributed.initialize(
          # JAX's own limit ends a process with a long trace of C++.
          **given, initialization_timeout=timeout + 60)
  except ValueError as error:
    if given or _num_launched() > 1:
      raise UsageError(
          f"JAX cannot tell which processes belong together ({error}); give "
          "--coordinator_address, --num_processes and --process_id, or "
          "--num_processes=1 to train alone") from None
  except RuntimeError as error:
    reason = str(error).strip().split("\n")[0][:200]
    raise UsageError(
        f"cannot use the coordinator address {address} ({reason}); choose "
        "another address or port of process 0") from None


@contextlib.contextmanager
def _time_limit(seconds: float, message: str) -> Iterator[None]:
  """Ends the process with one line if the body takes longer."""
  def give_up():
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(EXIT_USAGE)

  timer = threading.Timer(seconds, give_up)
  timer.daemon = True
  timer.start()
  try:
    yield
  finally:
    timer.cancel()


def _check_devices() -> None:
  """Refuses processes that have different numbers of devices."""
  counts = np.bincount([device.process_index for device in jax.devices()],
                       minlength=jax.process_count())
  if counts.min() != counts.max():
    hosts.part()
    raise UsageError(
        f"the processes have {', '.join(map(str, counts))} devices; give each "
        "process the same number")
