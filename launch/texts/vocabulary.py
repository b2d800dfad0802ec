"""What the tokens of a run mean, in a file of its folder."""

import pathlib
from typing import Any

import tasks
from launch.configs import build
from launch.configs.config import UsageError
from launch.runs.run import Run
from tasks.data import replacing

VOCABULARY_FILE = "vocabulary.json"


def keep(run: Run) -> None:
  """Writes the vocabulary into the folder, atomically, if there is none yet.

  Tasks without a vocabulary have no file.

  Args:
    run: opened for writing.

  Raises:
    UsageError: the folder holds the vocabulary of other data.
  """
  task = run.task
  if not isinstance(task, tasks.Readable):
    return
  path = run.workdir / VOCABULARY_FILE
  if path.exists():
    _check_same(task, _with_stored(task, path), path)
    return
  replacing.replace_text(path, task.vocabulary_json)


def readable_task(run: Run) -> Any:
  """Returns the task of a run with the vocabulary of its folder.

  It is a `tasks.Stream` and `tasks.Readable`. No data are read.

  Raises:
    UsageError: the task's tokens are no text, or the file is missing or not
      valid.
  """
  task = build.make_task(run.config, is_prepared=False)
  if not isinstance(task, tasks.Readable):
    valid = sorted(name for name, cls in tasks.TASKS.items()
                   if issubclass(cls, tasks.Readable))
    raise UsageError(f"{run.workdir} is a run of the task {run.config.task}, "
                     "which is no text to continue; valid tasks: "
                     f"{', '.join(valid)}")
  return _with_stored(task, run.workdir / VOCABULARY_FILE)


def _with_stored(task, path: pathlib.Path):
  try:
    return task.with_vocabulary_json(path.read_text(encoding="utf-8"))
  except FileNotFoundError:
    raise UsageError(f"{path} does not exist: train the run with this version, "
                     "which writes it at the start") from None
  except (OSError, ValueError) as error:
    raise UsageError(f"cannot read {path}: {error}") from None


def _check_same(task, stored, path: pathlib.Path) -> None:
  if stored.vocabulary_digest != task.vocabulary_digest:
    raise UsageError(
        f"the data have another vocabulary (digest {task.vocabulary_digest:08x}"
        f") than {path} ({stored.vocabulary_digest:08x}); give the --data_dir "
        "of the run's training, or another --workdir")
