"""Tests launch.train from end to end: resume, damage, divergence, pictures.

A reference run is never interrupted. All other runs must end with the same
numbers, to the last bit.
"""

import concurrent.futures
import os
import pathlib
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

import jax
import launch_helpers
import matplotlib.image
import numpy as np
import optax
import pytest
from launch_helpers import (
    assert_same,
    board_values,
    records,
    run,
    saved_state,
    saved_steps,
    tiny_flags,
)

from launch import train
from launch.configs import build, endings
from launch.configs import config as config_lib
from launch.learning.trainer import Trainer
from launch.pictures import run as pictures
from launch.runs import Run, checkpoints, interrupts, reporting

STEPS = 18
# The periods do not coincide; all chunks are of 2 updates, compiled once.
FLAGS = [*tiny_flags(learning_rate=0.01), f"--steps={STEPS}", "--log_every=2",
         "--eval_every=6", "--checkpoint_every=4"]
BLOCK_AT = 14  # Signals come here; the last checkpoint before it is 12.

# A run that waits for a signal at step `BLOCK_AT`. The first SIGINT lets it
# continue.
BLOCKING = f"""
import signal, time
from launch import train
from launch.runs import reporting
report = reporting.Reporter.train
def report_and_wait(self, step, metrics):
  report(self, step, metrics)
  if step == {BLOCK_AT}:
    handler = signal.getsignal(signal.SIGINT)
    deadline = time.monotonic() + 300
    while signal.getsignal(signal.SIGINT) is handler:
      assert time.monotonic() < deadline
      time.sleep(0.01)
reporting.Reporter.train = report_and_wait
train.run()
"""

# After a failed restore, Orbax has pending reads. They warn later that there is
# no event loop.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> pathlib.Path:
  """Returns the workdir of an uninterrupted run."""
  workdir = tmp_path_factory.mktemp("reference")
  assert run(train, *FLAGS, f"--workdir={workdir}") == 0
  assert [record["step"] for record in records(workdir, "train")] == list(
      range(2, STEPS + 1, 2))
  assert [record["step"] for record in records(workdir, "eval")] == [6, 12, 18]
  assert saved_steps(workdir) == [12, 16, 18]  # Three are kept.
  return workdir


@pytest.fixture
def copy(reference, tmp_path) -> pathlib.Path:
  """Returns a copy of the reference run, to be damaged."""
  workdir = tmp_path / "copy"
  shutil.copytree(reference, workdir)
  return workdir


def assert_equals_reference(workdir, reference):
  assert records(workdir) == records(reference)
  assert saved_steps(workdir)[-1] == STEPS
  assert_same(saved_state(workdir), saved_state(reference))


def hit(workdir: pathlib.Path, number: signal.Signals):
  """Starts a run in a child process and sends it a signal at `BLOCK_AT`."""
  process = launch_helpers.start(
      ["-c", BLOCKING, *FLAGS, "--cpu_devices=4", f"--workdir={workdir}"])
  try:
    wait_for_the_block(process, workdir)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
  finally:
    process.kill()
  return process.returncode, out, err


def wait_for_the_block(process, workdir):
  deadline = time.monotonic() + 300
  while not (reporting.read_records(workdir)
             and reporting.read_records(workdir)[-1]["step"] == BLOCK_AT
             # Checkpoints are written in the background.
             and saved_steps(workdir)[-1] == 12):
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < deadline
    time.sleep(0.05)


def test_interrupted_and_continued_equals_uninterrupted(
    reference, tmp_path, capsys):
  workdir = tmp_path / "run"
  status, _, err = hit(workdir, signal.SIGINT)
  assert status == endings.EXIT_INTERRUPTED == 130
  assert "Traceback" not in err
  assert "interrupted and saved" in err
  assert f"run in {workdir}, preset none, with --" in err
  assert " --core=lstm" in err.split("run in ")[1].splitlines()[0]
  assert "start at step 0 of 18, preset none: lstm on copy" in err
  assert "4 devices" in err  # From --cpu_devices.
  assert saved_steps(workdir)[-1] == BLOCK_AT
  assert (workdir / "learning_curve.png").exists()
  # The printed command resumes the run.
  command = shlex.split(err.split("continue with: ")[1].splitlines()[0])
  assert command[:3] == ["python", "-m", "launch.train"]
  assert run(train, *command[3:]) == 0
  assert f"step {STEPS}, evaluation: " in capsys.readouterr().out
  assert_equals_reference(workdir, reference)


def test_a_closed_terminal_is_like_ctrl_c(reference, tmp_path):
  """The kernel sends SIGHUP, and each write to the terminal fails."""
  ours, theirs = pty.openpty()
  # The child takes the terminal as its own. Under nohup, a run would stay.
  process = subprocess.Popen(
      [sys.executable, "-c", "import fcntl, signal, termios\n"
       "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"
       f"fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{BLOCKING}", *FLAGS,
       "--cpu_devices=4", f"--workdir={tmp_path}"],
      cwd=launch_helpers.ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
      start_new_session=True)
  os.close(theirs)
  try:
    wait_for_the_block(process, tmp_path)
    os.close(ours)
    assert process.wait(300) == endings.EXIT_INTERRUPTED
  finally:
    process.kill()
  assert saved_steps(tmp_path)[-1] == BLOCK_AT
  assert (tmp_path / "learning_curve.png").exists()
  assert run(train, f"--workdir={tmp_path}") == 0
  assert_equals_reference(tmp_path, reference)


def test_nohup_stays(tmp_path):
  original = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with interrupts.caught(tmp_path) as caught:
      signal.raise_signal(signal.SIGHUP)
      assert not caught
  finally:
    signal.signal(signal.SIGHUP, original)


def test_killed_and_continued_equals_uninterrupted(reference, tmp_path):
  workdir = tmp_path / "run"
  status, _, _ = hit(workdir, signal.SIGKILL)
  assert status == -signal.SIGKILL
  # The killed run had done more updates than it had saved. The resumed run
  # writes the records of these updates again.
  assert saved_steps(workdir)[-1] == 12
  assert records(workdir)[-1]["step"] == BLOCK_AT
  # Add a line that was cut short when the run was killed.
  with (workdir / "metrics.jsonl").open("a") as file:
    file.write('{"step": 16, "spl')
  assert run(train, f"--workdir={workdir}", "--resume") == 0
  assert_equals_reference(workdir, reference)


def test_the_unit_of_a_read_out_is_drawn(tmp_path, capsys):
  assert run(train, "--task=copy", "--core=lstm", "--core.hidden_size=4",
             "--unit=nac", "--preset=none", "--batch_size=4", "--steps=1",
             "--eval_episodes=4", f"--workdir={tmp_path}") == 0
  line = (tmp_path / "formula.txt").read_text()
  assert line.startswith("seed 0: no formula was learned: weights are up to ")
  assert line in capsys.readouterr().out
  shown = {tag: step for tag, step, _ in board_values(tmp_path)}
  assert {"_hparams_/session_start_info", "train/learning_rate", "train/loss",
          "eval/bits_wrong", "pictures/learning_curve.png",
          "pictures/weights.png"} <= shown.keys()
  assert shown["pictures/weights.png"] == 1
  assert (tmp_path / "weights.png").stat().st_size


def test_killed_before_the_first_checkpoint_starts_again(reference, copy):
  shutil.rmtree(copy / "checkpoints")
  assert records(copy)
  assert run(train, f"--workdir={copy}") == 0
  assert_equals_reference(copy, reference)


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def signals_fail():
  """Fails instead of ending the tests if a signal is not caught."""

  def fail(number, _):
    pytest.fail(f"signal {number} was not caught")

  original = {name: signal.signal(name, fail) for name in SIGNALS[1:]}
  yield
  for name, handler in original.items():
    signal.signal(name, handler)


def test_sigterm_is_like_sigint(
    reference, tmp_path, monkeypatch, capsys, signals_fail):
  report = reporting.Reporter.train

  def report_and_signal(self, step, metrics):
    report(self, step, metrics)
    if step == 6:
      signal.raise_signal(signal.SIGTERM)

  before = [signal.getsignal(name) for name in SIGNALS]
  with monkeypatch.context() as patch:
    patch.setattr(reporting.Reporter, "train", report_and_signal)
    status = run(train, *FLAGS, f"--workdir={tmp_path}")
  assert status == endings.EXIT_INTERRUPTED
  assert "interrupted and saved" in capsys.readouterr().err
  assert saved_steps(tmp_path)[-1] == 6
  assert before == [signal.getsignal(name) for name in SIGNALS]
  assert run(train, f"--workdir={tmp_path}") == 0
  assert_equals_reference(tmp_path, reference)


def test_interrupted_before_the_first_update(
    tmp_path, monkeypatch, capsys, signals_fail):
  evaluation = reporting.Reporter.evaluation

  def report_and_signal(self, step, metrics):
    evaluation(self, step, metrics)
    signal.raise_signal(signal.SIGTERM)

  flags = [*tiny_flags(num_seeds=4), "--steps=2", f"--workdir={tmp_path}"]
  with monkeypatch.context() as patch:
    patch.setattr(reporting.Reporter, "evaluation", report_and_signal)
    assert run(train, *flags) == endings.EXIT_INTERRUPTED
  err = capsys.readouterr().err
  assert "nothing is saved; start again with: " in err
  assert "interrupted and saved" not in err
  assert saved_steps(tmp_path) == []
  command = shlex.split(err.split("again with: ")[1].splitlines()[0])
  assert run(train, *command[3:]) == 0
  assert saved_steps(tmp_path) == [2]


def test_full_disk(reference, tmp_path, monkeypatch, capsys):
  """One line reports the full disk; the run resumes from its checkpoint."""
  workdir = tmp_path / "sp ace [1]"
  report = reporting.Reporter.train

  def fill_and_report(self, step, metrics):
    if step == 6:
      self._file.close()
      self._file = open("/dev/full", "a", buffering=1)  # noqa: SIM115
    report(self, step, metrics)

  with monkeypatch.context() as patch:
    patch.setattr(reporting.Reporter, "train", fill_and_report)
    closed = []
    close = checkpoints.Checkpoints.close
    patch.setattr(checkpoints.Checkpoints, "close",
                  lambda self: closed.append(close(self)))
    assert run(train, *FLAGS, f"--workdir={workdir}") == config_lib.EXIT_USAGE
  assert closed  # Even if closing the reporter fails.
  line = capsys.readouterr().err.splitlines()[-1]
  assert line.startswith(f"error: cannot write to --workdir={workdir}: ")
  assert "No space left on device" in line
  assert saved_steps(workdir) == [4]
  command = shlex.split(line.split("continue with: ")[1])
  assert run(train, *command[3:]) == 0
  assert_equals_reference(workdir, reference)


# A run whose files may not grow beyond a limit after step 8. Its records are
# shorter than the limit, and its checkpoints are longer.
LIMITED = """
import resource
from launch import train
from launch.runs import reporting
report = reporting.Reporter.train
def report_and_limit(self, step, metrics):
  report(self, step, metrics)
  if step == 8:
    resource.setrlimit(resource.RLIMIT_FSIZE, (
        3800, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
reporting.Reporter.train = report_and_limit
train.run()
"""


def test_a_checkpoint_that_cannot_be_written(reference, tmp_path):
  """Orbax's threads print nothing beside the one line."""
  process = launch_helpers.start(
      ["-c", LIMITED, *FLAGS, "--cpu_devices=4", f"--workdir={tmp_path}"])
  _, err = process.communicate(timeout=300)
  assert process.returncode == config_lib.EXIT_USAGE
  *before, line = err.splitlines()
  assert line.startswith(
      f"error: cannot write to --workdir={tmp_path}: cannot save in "
      f"{tmp_path}/checkpoints: ")
  assert "File too large" in line
  # Otherwise there are a log line and records.
  assert all(re.match(r"I\d|step \d", each) for each in before), before
  assert saved_steps(tmp_path) == [4]
  assert list((tmp_path / "checkpoints").glob("8.orbax-checkpoint-tmp*"))
  assert run(train, f"--workdir={tmp_path}") == 0
  assert not list((tmp_path / "checkpoints").glob("*tmp*"))
  assert_equals_reference(tmp_path, reference)


# The second SIGINT comes while C code runs, as if XLA compiled.
HANGING = """
import ctypes, pathlib, signal, sys
from launch.runs import interrupts
workdir = pathlib.Path(sys.argv[1])
with interrupts.caught(workdir) as caught:
  signal.raise_signal(signal.SIGINT)
  assert caught == [signal.SIGINT]
  print("once", flush=True)
  ctypes.CDLL(None).pause()
  ctypes.CDLL(None).sleep(300)
"""


# XLA compiles the first updates: there is nothing to save.
COMPILING = HANGING.replace("""
  signal.raise_signal(signal.SIGINT)
  assert caught == [signal.SIGINT]
  print""", """
  compiling = caught.compiling()
  compiling.__enter__()
  print""")


def test_first_signal_ends_the_first_compilation(tmp_path):
  assert COMPILING != HANGING
  process = launch_helpers.start(["-c", COMPILING, tmp_path])
  out, err = launch_helpers.interrupt(process, after="once\n")
  assert process.returncode == endings.EXIT_INTERRUPTED
  assert (out, err) == ("", "interrupted before the start; start again with "
                        "the same command\n")


def test_signals_are_kept_once_updates_run(tmp_path):
  with interrupts.caught(tmp_path) as caught:
    with caught.compiling():
      assert caught.has_nothing_to_save
      jax.jit(lambda x: 3 * x)(1.).block_until_ready()
      assert not caught.has_nothing_to_save
    signal.raise_signal(signal.SIGINT)
    assert caught == [signal.SIGINT]


@pytest.mark.parametrize("saved, words", [
    (["12", "4", "16.orbax-checkpoint-tmp"],
     "interrupted and saved up to step 12; continue with: "),
    ([], "interrupted before a checkpoint, nothing is saved; start again with: "
     )])
def test_second_signal_ends_at_once(tmp_path, saved, words):
  workdir = tmp_path / "a run"
  workdir.mkdir()
  (workdir / "config.json").touch()
  for step in saved:
    (workdir / "checkpoints" / step).mkdir(parents=True)
  process = launch_helpers.start(["-c", HANGING, workdir])
  out, err = launch_helpers.interrupt(process, after="once\n")
  assert process.returncode == endings.EXIT_INTERRUPTED == 130
  assert (out, err.strip()) == (
      "", f"{words}python -m launch.train --workdir='{workdir}'")


def test_trains_in_a_thread(reference, tmp_path):
  config = Run(reference).config
  with (Run.writing(tmp_path, config) as run_,
        concurrent.futures.ThreadPoolExecutor(1) as pool):
    result = pool.submit(train.train, run_).result()
  assert result.finished
  assert_equals_reference(tmp_path, reference)


@pytest.mark.parametrize("owner, name, words", [
    (Trainer, "initial_state", "interrupted before a checkpoint"),
    (Trainer, "train", "interrupted before a checkpoint"),
    (pictures, "_draw_curves", "interrupted and saved up to step 2; continue"),
    (train, "prepare", "interrupted; start again with the same command")])
def test_ctrl_c_outside_of_the_loop(
    tmp_path, monkeypatch, capsys, owner, name, words):
  def interrupt(*args):
    raise KeyboardInterrupt

  monkeypatch.setattr(owner, name, interrupt)
  workdir = tmp_path / "run"
  assert run(train, *tiny_flags(), "--steps=2",
             f"--workdir={workdir}") == endings.EXIT_INTERRUPTED
  assert capsys.readouterr().err.splitlines()[-1].startswith(words)


def test_finished_run_is_left_as_it_is(reference, copy, capsys):
  assert run(train, f"--workdir={copy}") == 0
  assert f"step {STEPS}, evaluation: " in capsys.readouterr().out
  assert_equals_reference(copy, reference)


def test_run_can_be_made_longer(reference, copy):
  assert run(train, f"--workdir={copy}", "--steps=20") == 0
  assert records(copy)[:len(records(reference))] == records(reference)
  assert records(copy)[-1]["step"] == 20
  assert config_lib.load(copy).steps == 20


def files_of(checkpoint: pathlib.Path) -> list[pathlib.Path]:
  files = [path for path in checkpoint.rglob("*")
           if path.is_file() and path.stat().st_size]
  assert len(files) > 3
  return files


def truncate(checkpoint: pathlib.Path) -> None:
  for path in files_of(checkpoint):
    path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])


def delete_arrays(checkpoint: pathlib.Path) -> None:
  arrays = [path for path in files_of(checkpoint) if path.parent.name == "d"]
  assert arrays
  for path in arrays:
    path.unlink()


def empty(checkpoint: pathlib.Path) -> None:
  for path in files_of(checkpoint):
    path.unlink()


def overwrite(checkpoint: pathlib.Path) -> None:
  for path in files_of(checkpoint):
    path.write_bytes(b"\xff" * path.stat().st_size)


def test_resumes_on_any_number_of_devices(tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(pictures, "draw", lambda *_: None)
  flags = [*tiny_flags(batch_size=6), "--log_every=1", f"--workdir={tmp_path}"]
  devices = jax.local_devices()
  with monkeypatch.context() as patch:
    patch.setattr(jax, "local_devices", lambda: devices[:2])
    assert run(train, *flags, "--steps=1") == 0
  assert "devices: batch_size" not in caplog.text
  monkeypatch.setattr(Trainer, "initial_state", None)  # It must not start anew.
  assert run(train, *flags, "--steps=2") == 0
  assert "using 3 of 4 devices: batch_size=6 does not divide" in caplog.text
  assert [record["step"] for record in records(tmp_path, "train")] == [1, 2]


@pytest.mark.parametrize("damage", [truncate, delete_arrays, empty, overwrite])
def test_damaged_checkpoint_falls_back_to_the_one_before(
    reference, copy, damage, caplog):
  damage(copy / "checkpoints" / str(STEPS))
  assert run(train, f"--workdir={copy}") == 0
  warnings = [record.getMessage() for record in caplog.records
              if record.levelname == "WARNING"]
  assert any("CANNOT BE READ" in warning and "checkpoints/18" in warning
             for warning in warnings)
  assert (copy / "damaged-checkpoint-18").is_dir()
  assert_equals_reference(copy, reference)


def test_damage_is_reported_on_stderr(reference, copy):
  for step in (18, 16):
    truncate(copy / "checkpoints" / str(step))
  process = launch_helpers.start(
      ["-m", "launch.train", "--cpu_devices=4", f"--workdir={copy}"])
  out, err = process.communicate(timeout=300)
  assert process.returncode == 0
  for step in (18, 16):
    assert f"checkpoints/{step} CANNOT BE READ" in err
    assert (copy / f"damaged-checkpoint-{step}").is_dir()
  assert "CONTINUE at step 12 of 18" in err
  assert "Traceback" not in err
  assert f"step {STEPS}, evaluation: " in out
  assert_equals_reference(copy, reference)


def test_all_checkpoints_damaged(copy, capsys):
  for step in saved_steps(copy):
    truncate(copy / "checkpoints" / str(step))
  before = records(copy)
  for _ in range(2):  # A second start begins no new run either.
    assert run(train, f"--workdir={copy}") == config_lib.EXIT_USAGE
    err = capsys.readouterr().err.splitlines()
    assert [line for line in err if line.startswith("error: ")] == err[-1:]
    assert "none of the checkpoints [18, 16, 12]" in err[-1]
    assert "Traceback" not in "\n".join(err)
    assert records(copy) == before
    assert saved_steps(copy) == [12, 16, 18]


def test_not_finite_loss_stops_the_run(tmp_path, monkeypatch, capsys):
  chunk = Trainer.train

  def poisoned(self, state, data, num_updates):
    first = int(np.asarray(state.train.step.addressable_shards[0].data)[0])
    state, metrics = chunk(self, state, data, num_updates)
    if first >= 10:
      metrics["loss"] = np.array([np.nan])
      state = state._replace(train=state.train._replace(params=jax.tree.map(
          lambda x: x * np.nan, state.train.params)))
    return state, metrics

  with monkeypatch.context() as patch:
    patch.setattr(Trainer, "train", poisoned)
    status = run(train, *FLAGS, f"--workdir={tmp_path}")
  assert status == train.EXIT_DIVERGED == 3
  err = capsys.readouterr().err.strip().splitlines()[-1]
  assert err.startswith("diverged: ")
  for words in ("loss nan", "steps 10 and 12", "step 8", "--learning_rate"):
    assert words in err
  assert saved_steps(tmp_path) == [4, 8]
  assert saved_state(tmp_path).train.step == 8
  assert records(tmp_path)[-1]["step"] == 10


def test_divergence_before_a_checkpoint_and_without_clipping(
    tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(Trainer, "train", lambda self, state, *_: (
      state, dict(loss=np.array([np.nan]), grad_norm=np.zeros(1))))
  assert run(train, *FLAGS, "--max_grad_norm=0",
             f"--workdir={tmp_path}") == train.EXIT_DIVERGED
  err = capsys.readouterr().err.strip().splitlines()[-1]
  assert "finite when they were repeated one by one; there is no" in err
  assert "there is no checkpoint yet. Try a lower --learning_rate" in err
  assert "or a --max_grad_norm (it is 0, off)" in err


def test_divergence_leaves_no_checkpoint_that_is_not_finite(
    tmp_path, monkeypatch, capsys):
  # The loss of an update is computed with the parameters before the update. It
  # may be finite although the new parameters are not.
  monkeypatch.setattr(build, "make_optimizer", lambda _: optax.sgd(np.inf))
  status = run(
      train, *tiny_flags(), "--steps=20", "--log_every=1",
      "--checkpoint_every=1", f"--workdir={tmp_path}")
  assert status == train.EXIT_DIVERGED
  assert re.search(r"diverged: .*; since update 1 the parameters (\S+, ){2}\S+ "
                   r"and \d more are not finite; there is no checkpoint yet",
                   capsys.readouterr().err)
  steps = saved_steps(tmp_path)
  if steps:
    assert saved_state(tmp_path).train.step == steps[-1]
  assert not list(tmp_path.glob("damaged-*"))


def assert_picture(path: pathlib.Path) -> None:
  """Checks that a picture exists and is not blank."""
  image = matplotlib.image.imread(path)
  assert min(image.shape[:2]) > 100
  assert image.std() > 0.01


def test_pictures_of_an_lstm(reference):
  assert_picture(reference / "learning_curve.png")
  assert not (reference / "memory.png").exists()


@pytest.mark.parametrize("core, name", [("sam", "memory"),
                                        ("rmc", "attention")])
def test_pictures_of_states(tmp_path, core, name):
  assert run(train, *tiny_flags(core), "--steps=2",
             f"--workdir={tmp_path}") == 0
  assert_picture(tmp_path / "learning_curve.png")
  assert_picture(tmp_path / f"{name}.png")
  assert len(list(tmp_path.glob("*.png"))) == 2


def test_one_process_a_workdir(tmp_path, capsys):
  """Two processes would mix their records."""
  flags = [*tiny_flags(), "--log_every=2", f"--workdir={tmp_path}"]
  assert run(train, *flags, "--steps=2") == 0
  before = records(tmp_path)
  with Run.writing(tmp_path, config_lib.load(tmp_path)):
    assert run(train, *flags, "--steps=4") == config_lib.EXIT_USAGE
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(
        f"error: another process trains in --workdir={tmp_path}")
    assert records(tmp_path) == before
  assert run(train, *flags, "--steps=4") == 0
  assert records(tmp_path)[-1]["step"] == 4


def test_no_picture_of_states_that_are_too_large(tmp_path, monkeypatch):
  monkeypatch.setattr(pictures, "MAX_TRACE_BYTES", 1000)
  assert run(train, *tiny_flags("sam"), "--steps=2",
             f"--workdir={tmp_path}") == 0
  assert_picture(tmp_path / "learning_curve.png")
  assert not (tmp_path / "memory.png").exists()


@pytest.mark.parametrize("flag, words", [
    ("--list", "sam_copy"), ("--describe=core:sam", "--core.num_slots")])
def test_help_flags(tmp_path, capsys, flag, words):
  assert run(train, flag, f"--workdir={tmp_path / 'none'}") == 0
  assert words in capsys.readouterr().out
  assert not (tmp_path / "none").exists()
