"""Writes TensorBoard's files: scalars, pictures and hyper-parameters."""

import pathlib
import socket
import time
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image
from tensorboardX import record_writer, summary
from tensorboardX.proto import event_pb2, summary_pb2

FOLDER = "tensorboard"
_OF_PICTURES = ".pictures"  # Ends the name of a file that holds pictures.
_RGB = 3  # TensorBoard's name for such a picture.


class Events:
  """Writes events into a new file of a run.

  Notes:
    `SummaryWriter` is not used: a full disk kills its thread, and the run then
    waits for that thread for ever. `EventsWriter` is not used: on a full disk
    it leaves its file open, and Python 3.13 prints an error of its own for it.
  """

  def __init__(self, workdir: pathlib.Path, first_step: int = 0,
               suffix: str = ""):
    """Opens the file, and marks older events after `first_step` as void.

    Args:
      workdir: of the run.
      first_step: updates already done; with 0, nothing is marked.
      suffix: of the file's name. Two files that are opened within a second need
        different ones.
    """
    (workdir / FOLDER).mkdir(exist_ok=True)
    name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}"
    self._writer = record_writer.RecordWriter(
        str(workdir / FOLDER / f"{name}{suffix}"))
    self._write(0, file_version="brain.Event:2")
    if first_step:
      self._write(first_step + 1, session_log=event_pb2.SessionLog(
          status=event_pb2.SessionLog.START))

  def scalar(self, tag: str, value: float, step: int) -> None:
    """Writes a number."""
    self._write(step, summary=summary.scalar(tag, value))

  def picture(self, path: pathlib.Path, step: int) -> None:
    """Writes a PNG or a GIF, under its name."""
    with Image.open(path) as opened:
      width, height = opened.size
    image = summary_pb2.Summary.Image(
        width=width, height=height, colorspace=_RGB,
        encoded_image_string=path.read_bytes())
    self._write(step, summary=summary_pb2.Summary(value=[
        summary_pb2.Summary.Value(tag=f"pictures/{path.name}", image=image)]))

  def hparams(self, settings: Mapping[str, Any], metrics: Iterable[str]
              ) -> None:
    """Writes hyper-parameters, for the table and the plots of HPARAMS.

    They are of the run itself, and not of a run below it, as those of
    `SummaryWriter.add_hparams`.

    Args:
      settings: flag -> value. A list (a sweep) is written as text.
      metrics: tags of the scalars to compare runs by.
    """
    values = {name: value if isinstance(value, bool | int | float | str)
              else str(value) for name, value in settings.items()
              if value is not None}
    # The last part says that the run has ended well, which nobody knows yet.
    for part in summary.hparams(values, dict.fromkeys(metrics, 0.))[:2]:
      self._write(0, summary=part)

  def flush(self) -> None:
    """Makes all events readable."""
    self._writer.flush()

  def close(self) -> None:
    """Closes the file, also where its last events cannot be written."""
    self._writer.close()

  def _write(self, step: int, **what: Any) -> None:
    self._writer.write(event_pb2.Event(
        wall_time=time.time(), step=step, **what).SerializeToString())


def write_pictures(workdir: pathlib.Path, paths: Iterable[pathlib.Path],
                   step: int) -> None:
  """Writes pictures into a file of their own.

  Args:
    workdir: of the run.
    paths: of the pictures.
    step: updates done.
  """
  events = Events(workdir, suffix=_OF_PICTURES)
  try:
    for path in paths:
      events.picture(path, step)
  finally:
    events.close()
