"""Runs of several processes: real ones, with two CPU devices each."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from unittest import mock

import jax
import launch_helpers
import numpy as np
import pytest
import text_helpers
from launch_helpers import records, run, saved_state, saved_steps, tiny_flags

from launch import train
from launch.configs import endings
from launch.configs.processes import hosts, joining
from launch.runs import interrupts

STEPS = 12
PERIODS = ["--log_every=2", "--eval_every=6", "--checkpoint_every=4"]
SUPERVISED = [*tiny_flags(learning_rate=0.01), *PERIODS]
WAIT_AT = 6  # Process 0 waits here for a file; no checkpoint is of this step.

# A run that waits at `WAIT_AT` until there is a file `go` in the workdir. No
# process has a handler of Python's for SIGTERM.
WAITING = f"""
import pathlib, signal, time
from launch import train
from launch.runs import reporting, training
report = reporting.Reporter.train
def report_and_wait(self, step, metrics):
  report(self, step, metrics)
  if step == {WAIT_AT}:
    (WORKDIR / "waits").touch()
    deadline = time.monotonic() + 300
    while not (WORKDIR / "go").exists():
      assert time.monotonic() < deadline
      time.sleep(0.01)
reporting.Reporter.train = report_and_wait
not_finite = training._not_finite
def check(*args):
  assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
  assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
  return not_finite(*args)
training._not_finite = check
train.run()
"""


def free_port() -> int:
  with socket.socket() as probe:
    probe.bind(("", 0))
    return probe.getsockname()[1]


def start(flags, workdir, program=None, slurm=False, others=()):
  """Starts two processes; `others` are more flags of process 1."""
  port = free_port()
  command = ["-m", "launch.train"] if program is None else [
      "-c", program.replace("WORKDIR", f"pathlib.Path({str(workdir)!r})")]
  processes = []
  for i in range(2):
    found = [*command, *flags, "--cpu_devices=2", f"--workdir={workdir}",
             *(others if i else ())]
    env = {"PYTHONPATH": os.pathsep.join(map(str, [
        launch_helpers.ROOT, launch_helpers.ROOT / "tests"]))}
    if slurm:
      env |= {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "localhost",
              "SLURM_NTASKS": "2", "SLURM_PROCID": str(i),
              "SLURM_LOCALID": str(i), "JAX_COORDINATOR_PORT": str(port)}
    else:
      found += [f"--coordinator_address=localhost:{port}",
                "--num_processes=2", f"--process_id={i}"]
    with mock.patch.dict(os.environ, env):
      processes.append(launch_helpers.start(found))
  return processes


def end(processes, timeout=300):
  """Returns the statuses and what was printed on stderr."""
  try:
    errors = [each.communicate(timeout=timeout)[1] for each in processes]
  finally:
    for each in processes:
      each.kill()
  return [each.returncode for each in processes], errors


def wait(processes, path: pathlib.Path):
  deadline = time.monotonic() + 300
  while not path.exists():
    for each in processes:
      assert each.poll() is None, each.communicate()
    assert time.monotonic() < deadline
    time.sleep(.05)


def assert_close(a: pathlib.Path, b: pathlib.Path):
  """Compares the records and the last checkpoints of two runs."""
  ours, theirs = records(a), records(b)
  assert len(ours) > STEPS // 2
  assert [each.keys() for each in ours] == [each.keys() for each in theirs]
  for mine, other in zip(ours, theirs, strict=True):
    for name, value in mine.items():
      if isinstance(value, str):
        assert value == other[name]
      else:
        np.testing.assert_allclose(value, other[name], rtol=1e-3, atol=1e-5,
                                   err_msg=name)
  assert saved_steps(a) == saved_steps(b)
  ours, theirs = saved_state(a), saved_state(b)
  assert jax.tree.structure(ours) == jax.tree.structure(theirs)
  jax.tree.map(lambda x, y: np.testing.assert_allclose(
      x, y, rtol=1e-3, atol=1e-5), ours, theirs)


@pytest.fixture(name="reference", scope="module")
def _reference(tmp_path_factory) -> pathlib.Path:
  """Returns the workdir of one process with four devices."""
  workdir = tmp_path_factory.mktemp("reference")
  assert run(train, *SUPERVISED, f"--steps={STEPS}",
             f"--workdir={workdir}") == 0
  return workdir


def test_two_processes_equal_one(reference, tmp_path):
  processes = start([*SUPERVISED, f"--steps={STEPS}"], tmp_path)
  statuses, (first, second) = end(processes)
  assert statuses == [0, 0], first + second
  assert "start at step 0 of 12" in first
  assert "4 devices" in first
  assert second == ""  # Process 0 alone prints.
  assert (tmp_path / "learning_curve.png").exists()
  assert len(list((tmp_path / "tensorboard").iterdir())) == 2
  assert_close(tmp_path, reference)


@pytest.mark.parametrize(("flags", "message"), [
    (["--num_processes=2"], "--coordinator_address, --process_id missing: give "
     "all of --coordinator_address, --num_processes and --process_id, or none"),
    (["--coordinator_address=localhost:1234"],
     "--num_processes, --process_id missing"),
    (["--coordinator_address=localhost:1234", "--num_processes=2",
      "--process_id=2"], "--process_id=2 is out of range; with "
     "--num_processes=2 it is from 0 to 1"),
    (["--coordinator_address=localhost:1234", "--num_processes=2",
      "--process_id=-1"], "--process_id=-1 is out of range"),
    (["--coordinator_address=localhost:1234", "--num_processes=0",
      "--process_id=0"], "--num_processes=0 is too small; give at least 1"),
    (["--coordinator_address=localhost", "--num_processes=2",
      "--process_id=1"], "--coordinator_address=localhost has no valid port; "
     "give HOST:PORT"),
    (["--coordinator_address=localhost:123456", "--num_processes=2",
      "--process_id=1"], "localhost:123456 has no valid port")])
def test_flags_that_do_not_fit_are_refused(flags, message, tmp_path, capsys):
  assert run(train, *SUPERVISED, "--steps=1", f"--workdir={tmp_path / 'run'}",
             *flags) == endings.EXIT_USAGE
  error = capsys.readouterr().err
  assert f"error: {message}" in error or message in error
  assert error.count("\n") == 1
  assert not (tmp_path / "run").exists()


def test_a_port_that_is_taken_is_refused(tmp_path, capsys):
  with socket.socket() as taken:
    taken.bind(("", 0))
    taken.listen()
    port = taken.getsockname()[1]
    assert run(train, *SUPERVISED, "--steps=1", f"--workdir={tmp_path}",
               f"--coordinator_address=localhost:{port}", "--num_processes=2",
               "--process_id=0") == endings.EXIT_USAGE
  assert f"cannot use port {port}" in capsys.readouterr().err


@pytest.mark.parametrize(("variables", "expected"), [
    ({}, False),
    ({"SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "a"}, True),
    ({"SLURM_NTASKS": "2"}, False),  # In a batch script, without srun.
    ({"SLURM_NTASKS": "1", "SLURM_STEP_NODELIST": "a"}, False),
    ({"OMPI_COMM_WORLD_SIZE": "3"}, True),
    ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
    ({"TPU_WORKER_HOSTNAMES": "a,b"}, True),
    ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
    ({"MEGASCALE_NUM_SLICES": "2"}, True),
    ({"KUBERNETES_SERVICE_HOST": "a", "JOB_COMPLETION_INDEX": "0"}, True),
    ({"KUBERNETES_SERVICE_HOST": "a"}, False)])
def test_several_processes_are_noticed(variables, expected):
  with mock.patch.dict(os.environ, variables, clear=True):
    os.environ["JAX_PLATFORMS"] = "cpu"
    assert joining._was_launched() == expected


def test_one_process_of_a_launcher_may_train_alone(tmp_path, monkeypatch):
  monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
  assert run(train, *SUPERVISED, "--steps=1", "--num_processes=1",
             f"--workdir={tmp_path}") == 0


def test_a_launcher_that_jax_does_not_find_is_refused(
    tmp_path, monkeypatch, capsys):
  monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
  with mock.patch.object(jax.distributed, "initialize",
                         side_effect=ValueError("no address")):
    assert run(train, *SUPERVISED, "--steps=1",
               f"--workdir={tmp_path}") == endings.EXIT_USAGE
  assert "--num_processes=1 to train alone" in capsys.readouterr().err


@pytest.mark.parametrize("count", [1, 2])
def test_sigterm_is_left_to_jax_in_several_processes(
    count, tmp_path, monkeypatch):
  monkeypatch.setattr(jax, "process_count", lambda: count)
  before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
  with interrupts.caught(tmp_path):
    assert (signal.getsignal(signal.SIGTERM) is before[0]) == (count == 2)
    assert signal.getsignal(signal.SIGINT) is not before[1]
  assert (signal.getsignal(signal.SIGTERM),
          signal.getsignal(signal.SIGINT)) == before


@pytest.mark.parametrize(("error", "status"), [
    (SystemExit(4), 4), (SystemExit("message"), 1), (RuntimeError("a bug"), 1)])
def test_a_process_that_fails_alone_waits_for_no_other(error, status):
  with (mock.patch.object(jax.distributed, "is_initialized", lambda: True),
        mock.patch.object(os, "_exit") as leave,
        pytest.raises(type(error)), hosts.failing_alone()):
    raise error
  leave.assert_called_once_with(status)


def test_processes_that_end_together_wait_for_each_other():
  with (mock.patch.object(os, "_exit") as leave, pytest.raises(SystemExit),
        hosts.failing_alone()):
    sys.exit(4)
  leave.assert_not_called()


@pytest.mark.slow
def test_one_device_equals_four(reference, tmp_path):
  _, error = end([launch_helpers.start(
      ["-m", "launch.train", *SUPERVISED, f"--steps={STEPS}", "--cpu_devices=1",
       f"--workdir={tmp_path}"])])
  assert "1 device (" in error[0]
  assert_close(tmp_path, reference)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["language", "environment", "curriculum",
                                  "memory", "shard_map", "seeds"])
def test_other_runs_of_two_processes_equal_one(kind, tmp_path):
  words = "the cat saw the dog\nthe dog saw a cat <unk>\n"
  flags = {
      "language": ["--task=text", "--task.num_steps=6",
                   "--core=lstm", "--core.hidden_size=5", "--batch_size=4"],
      "environment": ["--task=small_environments:Cue", "--task.delay=2",
                      "--core=lstm", "--core.hidden_size=5",
                      "--agent.unroll_length=4", "--batch_size=8",
                      "--eval_episodes=8"],
      "curriculum": [*tiny_flags(learning_rate=.01), "--task.max_length=8",
                     "--curriculum=exponential", "--curriculum.threshold=10",
                     "--curriculum.start=1", "--curriculum.patience=10",
                     "--curriculum.max_level=6"],
      "memory": [*tiny_flags("sam", learning_rate=.01), "--reuse_memory"],
      "shard_map": [*tiny_flags("sam", learning_rate=.01), "--reuse_memory",
                    "--parallel=shard_map"],
      "seeds": [*tiny_flags(learning_rate=.01), "--num_seeds=4"]}[kind]
  if kind == "language":
    folder = text_helpers.write(tmp_path / "words", {
        "train": words * 12, "valid": words * 3, "test": words * 2})
    flags += [f"--data_dir={folder}", f"--cache_dir={tmp_path / 'cache'}"]
  flags += [*PERIODS, f"--steps={STEPS}"]
  one, two = tmp_path / "one", tmp_path / "two"
  assert run(train, *flags, f"--workdir={one}") == 0
  statuses, errors = end(start(flags, two))
  assert statuses == [0, 0], errors
  assert ({path.name for path in one.iterdir() if path.name[0] != "."}
          == {path.name for path in two.iterdir() if path.name[0] != "."})
  if kind == "curriculum":
    assert records(two)[-1]["level"] > 1
  assert_close(two, one)


@pytest.mark.slow
def test_slurm_needs_no_flags(reference, tmp_path):
  statuses, errors = end(start([*SUPERVISED, f"--steps={STEPS}"], tmp_path,
                               slurm=True))
  assert statuses == [0, 0], errors
  assert_close(tmp_path, reference)


def stop(workdir, who: int, number: signal.Signals):
  """Sends a signal to one of two processes at `WAIT_AT`."""
  processes = start([*SUPERVISED, f"--steps={STEPS}"], workdir, WAITING)
  wait(processes, workdir / "waits")
  processes[who].send_signal(number)
  if number != signal.SIGKILL:
    time.sleep(1)  # JAX's service hears of it in a thread of its own.
  (workdir / "go").touch()
  return end(processes)


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_save_the_same_step_and_may_be_resumed(
    who, number, reference, tmp_path):
  statuses, errors = stop(tmp_path, who, number)
  assert statuses == [endings.EXIT_INTERRUPTED] * 2, errors
  last = saved_steps(tmp_path)[-1]
  assert WAIT_AT <= last < STEPS
  assert f"interrupted and saved up to step {last}" in errors[0]
  assert "interrupted" not in errors[1]
  # By two again, or by one process.
  if who:
    statuses, errors = end(start([f"--steps={STEPS}"], tmp_path))
    assert statuses == [0, 0], errors
    assert f"CONTINUE at step {last}" in errors[0]
  else:
    assert run(train, f"--steps={STEPS}", f"--workdir={tmp_path}") == 0
  # One checkpoint more is kept, in place of one of the reference's.
  assert saved_steps(tmp_path)[-1] == saved_steps(reference)[-1] == STEPS
  with mock.patch(f"{__name__}.saved_steps", lambda _: [STEPS]):
    assert_close(tmp_path, reference)


@pytest.mark.slow
@pytest.mark.parametrize("who", [0, 1])
def test_one_is_killed_and_both_are_restarted(who, reference, tmp_path):
  statuses, _ = stop(tmp_path, who, signal.SIGKILL)
  assert statuses[who] == -signal.SIGKILL
  assert statuses[1 - who] not in (0, endings.EXIT_INTERRUPTED)
  assert saved_steps(tmp_path)[-1] == 4
  statuses, errors = end(start([f"--steps={STEPS}"], tmp_path))
  assert statuses == [0, 0], errors
  assert "CONTINUE at step 4" in errors[0]
  assert_close(tmp_path, reference)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_both(tmp_path):
  statuses, (first, second) = end(start(
      [*tiny_flags(learning_rate=1e38), *PERIODS, f"--steps={STEPS}"],
      tmp_path))
  assert statuses == [train.EXIT_DIVERGED] * 2, first + second
  assert "not finite" in first.split("diverged: ")[1]
  assert "diverged" not in second


@pytest.mark.slow
def test_what_process_0_refuses_ends_both(reference, tmp_path):
  config = (reference / "config.json").read_text()
  (tmp_path / "config.json").write_text(config)
  statuses, (first, second) = end(start(
      [*SUPERVISED, f"--steps={STEPS}", "--noresume"], tmp_path))
  assert statuses == [endings.EXIT_USAGE] * 2
  assert "already holds a run" in first
  assert second == ""


@pytest.mark.slow
def test_a_disk_that_is_full_ends_both(tmp_path):
  program = """
import jax, pathlib
from launch import train
from launch.runs.store import Store
def write(*args):
  assert jax.process_index() == 0
  raise OSError(28, "No space left on device")
Store.write = write
train.run()
"""
  statuses, errors = end(start(
      [*SUPERVISED, f"--steps={STEPS}"], tmp_path, program))
  assert statuses[0] == endings.EXIT_USAGE
  assert statuses[1] not in (0, endings.EXIT_INTERRUPTED)
  assert "No space left on device" in errors[0]


@pytest.mark.slow
def test_processes_that_differ_are_refused(tmp_path):
  statuses, errors = end(start([*SUPERVISED, f"--steps={STEPS}"], tmp_path,
                               others=["--learning_rate=.02"]))
  assert statuses == [endings.EXIT_USAGE] * 2
  assert "process 1 has other flags than process 0" in errors[0]


@pytest.mark.slow
def test_numbers_of_devices_that_differ_are_refused(tmp_path):
  statuses, errors = end(start([*SUPERVISED, f"--steps={STEPS}"], tmp_path,
                               others=["--cpu_devices=1"]))
  assert statuses == [endings.EXIT_USAGE] * 2
  assert "the processes have 2, 1 devices" in errors[0]


@pytest.mark.slow
def test_a_batch_must_divide_over_all_devices(tmp_path):
  statuses, errors = end(start([*tiny_flags(batch_size=6), "--steps=1"],
                               tmp_path))
  assert statuses == [endings.EXIT_USAGE] * 2
  assert ("batch_size=6 does not divide over 4 devices; take a multiple of 4, "
          "or fewer processes or devices") in errors[0]


@pytest.mark.slow
@pytest.mark.parametrize("process", [0, 1])
def test_others_that_do_not_come_end_in_one_line(process, tmp_path):
  done = subprocess.run(
      [sys.executable, "-m", "launch.train", *SUPERVISED, "--steps=1",
       f"--workdir={tmp_path}", "--num_processes=2", f"--process_id={process}",
       f"--coordinator_address=localhost:{free_port()}",
       "--coordinator_timeout=2"], cwd=launch_helpers.ROOT, text=True,
      capture_output=True, timeout=200, check=False)
  assert done.returncode == endings.EXIT_USAGE
  assert "did not meet within --coordinator_timeout=2 seconds" in done.stderr
  assert done.stderr.count("\n") == 1
