"""Data that never come: one line that names task, split and folder."""

import dataclasses
import threading

import pytest
from launch_helpers import TINY_TASK, run

import tasks
from launch import train
from launch.configs import waiting
from launch.configs.config import EXIT_USAGE, UsageError, default_config

# Never set: whatever waits for it hangs as a read of a dead mount does.
never = threading.Event()


@dataclasses.dataclass(frozen=True)
class Hanging(tasks.Copy):
  """Represents a task whose files are on a dead mount."""

  hangs_in: str = "test"

  def prepared(self, data_dir=None):
    if self.hangs_in == "prepared":
      never.wait()
    return self

  def load(self, split, data_dir=None):
    if self.hangs_in == split:
      never.wait()


@pytest.mark.parametrize("where, words", [
    ("prepared", "reading files in"), ("train", "reading split 'train' in"),
    ("test", "reading split 'test' in")])
def test_one_line_names_task_split_and_folder(tmp_path, capsys, where, words):
  workdir = tmp_path / "run"
  flags = [f"--task.{name}={value}" for name, value in TINY_TASK.items()]
  assert run(train, "--task=test_data_timeout:Hanging", *flags,
             f"--task.hangs_in={where}", "--core=lstm", "--data_timeout=.1",
             f"--data_dir={tmp_path}", f"--workdir={workdir}") == EXIT_USAGE
  line = capsys.readouterr().err.splitlines()[-1]
  assert line.startswith("error: task 'test_data_timeout:Hanging': ")
  for each in (words, str(tmp_path), "0.1 s", "--data_timeout (0: no limit)"):
    assert each in line
  assert not (workdir / "config.json").exists()


def read_in_a_thread() -> str:
  return threading.current_thread().name


def test_without_a_limit_no_thread_reads():
  config = default_config()
  assert waiting.within_timeout(config, "", read_in_a_thread) != "MainThread"
  config.data_timeout = 0.
  assert waiting.within_timeout(config, "", read_in_a_thread) == "MainThread"


@pytest.mark.parametrize("seconds", [0., 1., 1e300])
def test_errors_are_those_of_the_read(seconds):
  config = default_config()
  config.data_timeout = seconds
  with pytest.raises(UsageError, match="it is damaged"):
    def read():
      raise UsageError("it is damaged")
    waiting.within_timeout(config, "", read)
