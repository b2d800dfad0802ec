"""Measures steps per second of environments, and frames per second of agents.

Acting is measured with random actions: an environment's step, its observation
and new episodes from levels made beforehand, all of them on all devices. Beside
it stands what the Python original was measured to do on a core like these
(pycolab 6504c80, and deepmind_pillman.py in higgsfield's
Imagination-Augmented-Agents 58a4702). Training is whole updates of the preset:
acting, loss, gradients, optimiser.
"""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp

from launch.benchmarks import measure
from launch.benchmarks.scaling import Options
from launch.configs import build, checks
from launch.configs import config as config_lib
from launch.learning import keys as keys_lib
from launch.learning import layout as layout_lib
from launch.learning import sources
from launch.runs.progress import counting
from tasks.environments import resetting

NUM_STEPS = 100  # In one call, and in one set of levels.
UPDATES = 5  # In one call.
ACTING = "acting at random"


@dataclasses.dataclass(frozen=True)
class World:
  """Holds an environment, and what is measured of it.

  Attributes:
    name: for tables.
    preset: of the environment and its agents.
    original: steps per second of the Python original, None if there is none.
    args: of the environment in place of the preset's, when it is measured
      without a network: those with which the original was measured.
    num_worlds: environments side by side, acting at random.
    cores: that are trained.
  """

  name: str
  preset: str
  original: float | None = None
  args: tuple[tuple[str, Any], ...] = ()
  num_worlds: int = 1024
  cores: tuple[str, ...] = ("lstm", "rmc")


_RELEASED = (("solution_length", 4), ("num_forward", 4), ("grid_size", 12),
             ("max_steps", 120))
WORLDS = (
    World("BoxWorld, 5 x 5 view", "boxworld_viewport", 2_911, _RELEASED),
    World("BoxWorld, whole", "boxworld", 2_911, _RELEASED,
          cores=("lstm", "rmc", "conv_lstm")),
    World("Mini-Pacman, whole, RGB", "minipacman", 1_020),
    World("Mini-Pacman, 5 x 5 view", "minipacman_viewport"),
    World("time tracking", "time_tracking", cores=("lstm", "nac_lstm")),
)


def environments(options: Options) -> dict[str, Any]:
  """Measures all environments, and the training of some cores in each.

  Raises:
    ValueError: `options.models` names no core that is measured.
  """
  valid = dict.fromkeys([ACTING, *(core for world in WORLDS
                                   for core in world.cores)])
  if unknown := set(options.models) - valid.keys():
    raise ValueError(f"unknown models {', '.join(sorted(unknown))}; valid: "
                     f"{', '.join(valid)}")
  deadline = time.monotonic() + options.time_limit
  rows: list[dict[str, Any]] = []
  for world in counting.counted(WORLDS, lambda world: world.name):
    rows += _rows(world, options, deadline)
    options.report(_result(rows))
  return _result(rows)


def _rows(world, options, deadline):
  """Returns the rows of an environment; its programs take turns."""
  labels = [label for label in (ACTING, *world.cores)
            if not options.models or label in options.models]
  made = {label: _acting(world) if label == ACTING else _training(world, label)
          for label in labels}
  times = measure.interleaved([program for program, _ in made.values()],
                              options.repeats, deadline)
  rows = []
  for label, (_, share_acted) in made.items():
    rate = share_acted() / times[label]["median"]
    row = dict(size=world.name, model=label, time=times[label],
               steps_per_second=rate)
    if label == ACTING and world.original:
      row["times_original"] = rate / world.original
    rows.append(row)
  return rows


def _result(rows):
  lines = [["environment", "program", "steps/s", "spread", "turns",
            "times the original"]]
  for row in rows:
    times = row["time"]
    lines.append([
        row["size"], row["model"], f"{row['steps_per_second']:,.0f}",
        f"{1 / times['high']:,.0f} to {1 / times['low']:,.0f}",
        str(times["turns"]),
        f"{row['times_original']:.0f}" if "times_original" in row else ""])
  return dict(rows=rows, table=lines, title=(
      f"steps of environments in which something happened: not "
      f"those that begin an episode or wait for one; {ACTING}: without a "
      "network"))


def _trainer(world, core):
  config = config_lib.resolve(world.preset, dict(core=core), {})
  checks.check(config, jax.local_device_count())
  task: Any = build.make_task(config)
  return build.make_trainer(config, task)


def _training(world, core):
  """Returns a program, and what share of its steps were actions."""
  trainer = _trainer(world, core)
  state = trainer.put(trainer.initial_state())
  acted = 0.

  def call():
    nonlocal state, acted
    state, metrics = trainer.train(state, None, UPDATES)
    acted = float(metrics["acting"][0])
    return state.train.step

  calls = measure.Calls(core, call, UPDATES * trainer.learner.frames)
  return calls, lambda: acted


def _acting(world):
  """Returns a program, and what share of its steps were actions.

  It takes steps of environments side by side; observations are summed up.
  """
  task: Any = build.make_task(config_lib.resolve(
      world.preset, {}, {"task": dict(world.args)}))
  layout = layout_lib.SplitBatch()

  def act(share, key_data, worlds, data):
    del data
    key = keys_lib.wrap(key_data, "threefry").train
    keys = sources.split_share(key, world.num_worlds, share)
    ready = None if task.has_cheap_reset else jax.vmap(functools.partial(
        resetting.ready_levels, task, number=1))(keys)
    step = jax.vmap(functools.partial(resetting.step, task),
                    in_axes=(0, 0, 0, 0, None if ready is None else 0, 0))

    def one(carry, index):
      worlds, is_last, used, total, acted = carry
      of_step, of_action = (jax.vmap(jax.random.fold_in, (0, None))(
          keys, 2 * index + i) for i in (1, 2))
      actions = jax.vmap(lambda key: jax.random.bits(
          key, dtype=jnp.uint8) % task.num_actions)(of_action)
      worlds, seen, used = step(worlds, is_last, actions, of_step, ready, used)
      total += sum(x.sum() for x in jax.tree.leaves(seen))
      acted += (1. - is_last).mean()
      return (worlds, seen.is_last, used, total, acted), None

    none = jnp.zeros(len(keys), jnp.int32)
    (worlds, *_, total, acted), _ = jax.lax.scan(
        one, (worlds, none == 0, none, 0., 0.), jnp.arange(NUM_STEPS))
    return worlds, total, share.mean(acted / NUM_STEPS)

  size = world.num_worlds // len(layout.devices)
  state = layout.replicate(jax.tree.map(
      lambda x: jnp.zeros((size, *x.shape), x.dtype),
      jax.eval_shape(task.reset, jax.random.key(0))))
  key_data = layout.put_keys([keys_lib.unwrap(keys_lib.make_keys(
      0, "threefry"))])
  compiled = layout.compile(act)

  acted: Any = None

  def call():
    nonlocal state, acted
    state, total, acted = compiled(key_data, state, None)
    return total

  calls = measure.Calls(ACTING, call, NUM_STEPS * size * len(layout.devices))
  return calls, lambda: float(layout.first(acted))
