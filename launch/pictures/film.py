"""Films one episode of an agent: a GIF, and a strip of some of its steps."""

import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from PIL import Image, ImageDraw

import tasks
from launch.configs import build, devices, members
from launch.configs import config as config_lib
from launch.learning.agents import playing
from launch.learning.trainer import Trainer
from launch.pictures import memory
from launch.runs import Run
from launch.runs.trained import loading
from rmc_nalu_sam.registry import attribute

GIF, STRIP = "episode.gif", "episode.png"
MAX_STEPS = 400  # Of a longer episode, the first ones are filmed.
MAX_BYTES = 2**30  # Larger states of the core are not kept.
_HEIGHT = 240  # Pixels of a frame's picture, about.
_WIDTH = 150  # Pixels of the panel beside it.
_TOP, _LINE = 50, 14  # Where the actions begin, and the height of each.
_MILLISECONDS = 150
_STRIP_FRAMES, _STRIP_COLUMNS = 8, 4


def can_draw(task: tasks.Task) -> bool:
  """Returns whether a task is an environment that draws pictures."""
  return isinstance(task, tasks.Environment) and (
      type(task).picture is not tasks.Environment.picture)


def draw(run: Run, trainer: Trainer, params: Any, folder: pathlib.Path) -> None:
  """Plays an episode with the best network, and writes the two files.

  The frames show the whole environment, the likelihood of each action, the
  value, and what the core's memory attended to, if the core's state holds it.
  The episode is the first one of an evaluation of the task as trained.

  Args:
    run: of an `Environment` that `can_draw`.
    trainer: of the run.
    params: on the host, as `Trainer.get_params` returns them.
    folder: where the files go.
  """
  task = run.task
  assert isinstance(task, tasks.Environment)
  seed, of_seed = run.best_params(params)
  keys = trainer.keys(trainer.seeds.index(seed))
  recording = jax.tree.map(np.asarray, _record(
      trainer, of_seed, jax.random.fold_in(keys.evaluate, 0), task,
      build.make_agent(run.best().config)))
  length = int(recording.length)
  attended = attention(run, recording.cores)
  total = np.cumsum(recording.rewards) - recording.rewards
  frames = [frame(task, recording, attended, float(total[t]), t)
            for t in range(length + 1)]
  title = f"{config_lib.label(run.config)}, seed {seed}"
  write_gif(frames, folder / GIF, title)
  write_strip(frames, folder / STRIP)


def draw_run(workdir: pathlib.Path) -> None:
  """Films the newest checkpoint of a run; nothing if it has no pictures.

  Args:
    workdir: of the run, where the files go.
  """
  run = Run(workdir)
  if not can_draw(run.task):
    return
  trainer = build.make_trainer(
      run.config, run.task, devices.for_evaluation(run.config))
  state = loading.restore(run, trainer)
  draw(run, trainer, state.train.params, workdir)


def _record(trainer, params, key, task, agent):
  """Returns one episode, with as many of its steps as are filmed."""
  num_steps = min(task.episode_limit, MAX_STEPS)

  @jax.jit
  def play(params, key):
    found = playing.record(trainer.model, params, key, task, agent.clip,
                           num_steps)
    size = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(found.cores))
    return found if size <= MAX_BYTES else found._replace(cores=None)

  return play(params, key)


def attention(run: Run, cores: Any) -> np.ndarray | None:
  """Returns what a core's memory attended to, `[L + 1, rows, columns]`.

  For an RMC: the attention of each head's slots (rows) to slots and input. For
  other memories: the weight with which each slot was read.

  Args:
    run: whose core it is.
    cores: the core's states, of a `playing.Recording`.

  Returns:
    Numbers from 0 to 1; None if the core does not tell it.
  """
  core = members.REGISTRIES["core"].get(run.config.core)
  picture = attribute(core, "PICTURE", None)
  if picture is None or cores is None:
    return None
  if picture == "attention":
    weights = np.asarray(cores.attention, np.float32)[:, 0].mean(1)
    return weights.reshape(len(weights), -1, weights.shape[-1])
  return memory.read_weights(cores.access)


def frame(task: tasks.Environment, recording: playing.Recording,
          attended: np.ndarray | None, total: float, step: int) -> Image.Image:
  """Returns the picture of one step.

  Args:
    task: the environment.
    recording: of the episode, on the host.
    attended: from `attention`.
    total: rewards before this step.
    step: its number.
  """
  state = jax.tree.map(lambda x: x[step], recording.worlds)
  picture = Image.fromarray(np.asarray(task.picture(state)))
  scale = max(1, round(_HEIGHT / picture.height))
  picture = picture.resize((picture.width * scale, picture.height * scale),
                           Image.Resampling.NEAREST)
  height = max(picture.height, _HEIGHT)
  image = Image.new("RGB", (picture.width + _WIDTH, height), "white")
  image.paste(picture, (0, 0))
  _draw_panel(ImageDraw.Draw(image), picture.width + 8, task, recording, total,
              step)
  if attended is not None:
    room = height - _TOP - _LINE * (len(task.action_names) + 1) - 16
    heat = heat_map(attended[step], room)
    top = height - heat.height - 8
    image.paste(heat, (picture.width + 8, top))
    ImageDraw.Draw(image).text((picture.width + 8, top - _LINE),
                               "attended to:", fill="black")
  return image


def _draw_panel(pen, left, task, recording, total, step):
  """Draws numbers, and a bar for each action."""
  is_over = bool(recording.is_over[step])
  lines = [f"step {step}" + (", the end" if is_over else ""),
           f"rewards {total:.4g}", f"value {recording.values[step]:.2f}"]
  for number, line in enumerate(lines):
    pen.text((left, 4 + 13 * number), line, fill="black")
  for action, name in enumerate(task.action_names):
    top = _TOP + _LINE * action
    width = int(60 * recording.probabilities[step, action])
    is_chosen = not is_over and action == recording.actions[step]
    pen.rectangle((left + 60, top + 2, left + 60 + width, top + 10),
                  fill=(31, 119, 180))
    pen.text((left, top), f"> {name}" if is_chosen else name,
             fill=(200, 0, 0) if is_chosen else "black")


def heat_map(weights: np.ndarray, room: int) -> Image.Image:
  """Returns numbers from 0 to 1 as grey squares, black for 1.

  Args:
    weights: `[rows, columns]`.
    room: pixels that the picture may be high.
  """
  rows, columns = weights.shape
  scale = max(1, min(10, (_WIDTH - 16) // columns, room // rows))
  grey = np.uint8(255 * (1 - np.clip(weights, 0, 1)))
  return Image.fromarray(grey).convert("RGB").resize(
      (columns * scale, rows * scale), Image.Resampling.NEAREST)


def write_gif(frames: Sequence[Image.Image], path: pathlib.Path,
              comment: str) -> None:
  """Writes an endless film; its last frame stays for a while."""
  times = [_MILLISECONDS] * (len(frames) - 1) + [8 * _MILLISECONDS]
  frames[0].save(path, save_all=True, append_images=frames[1:], duration=times,
                 loop=0, comment=comment.encode())


def write_strip(frames: Sequence[Image.Image], path: pathlib.Path) -> None:
  """Writes some frames from the first to the last, in rows."""
  chosen = np.linspace(0, len(frames) - 1, min(_STRIP_FRAMES, len(frames)))
  shown = [frames[round(number)] for number in chosen]
  width, height = shown[0].size
  columns = min(_STRIP_COLUMNS, len(shown))
  strip = Image.new("RGB", (width * columns,
                            height * -(-len(shown) // columns)), "white")
  for number, each in enumerate(shown):
    row, column = divmod(number, columns)
    strip.paste(each, (width * column, height * row))
  strip.save(path)
