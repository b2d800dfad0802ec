"""The pictures of a run, and the formula it found: made when it ends."""

import pathlib

import jax
from absl import logging

import tasks
from launch import (
  attention_plots,
  outcome,
  plots,
  seeds,
  training,
  weight_plots,
)
from launch import config as config_lib

# More than this is not kept of an episode for a picture of the memory.
MAX_TRACE_BYTES = 2**30


def draw(config, workdir: pathlib.Path,
         trainer: training.Trainer | seeds.SeedsTrainer, params, test_data,
         task: tasks.Task) -> None:
  """Draws a run into its workdir: curves, seeds, formula, weights, memory.

  Args:
    config: of the run.
    workdir: of the run.
    trainer: of the run.
    params: one copy; of many seeds, those of all.
    test_data: one copy, what the task loaded for testing.
    task: at the level that is to be drawn.
  """
  name = f"{config_lib.label(config)} on {config.task}"
  title = f"{name}, seed {config.seed}"
  if config.num_seeds > 1:
    title += f" to {config.seed + config.num_seeds - 1}"
  metric = task.main_metric if config.curriculum == "none" else "level"
  plots.learning_curves({config_lib.label(config): [workdir]}, metric,
                        workdir / "learning_curve.png", title)
  units = trainer.model.units
  if any(unit.VALUES for unit in units.values()) and (
      config.core in config_lib.OF_UNITS or config.unit != "linear"):
    seed, of_seed = outcome.params_of_best(config, workdir, task, params)
    formula = outcome.learned_formula(config, units, of_seed)
    (workdir / outcome.FORMULA_FILE).write_text(f"seed {seed}: {formula}\n")
    weight_plots.unit_weights(units, of_seed, workdir / "weights.png",
                              f"{name}, seed {seed}", formula)
  if isinstance(trainer, seeds.SeedsTrainer):
    outcome.draw(config, workdir, task, title)
  else:
    _draw_memory(workdir, trainer, params, test_data, task, title)


def _draw_memory(workdir, trainer, params, test_data, task, title):
  state = jax.eval_shape(lambda: trainer.model.initial_state(params, 1))
  if not hasattr(state, "access") and not hasattr(state, "attention"):
    return
  size = task.num_steps * sum(x.size * x.dtype.itemsize
                              for x in jax.tree.leaves(state))
  if size > MAX_TRACE_BYTES:
    logging.info("no picture of the memory: it is too large to keep %d of them",
                 task.num_steps)
    return
  batch, outputs, states = trainer.trace(params, test_data, task)
  if hasattr(states, "attention"):
    attention_plots.attention(states.attention, batch, outputs,
                              workdir / "attention.png", title)
    return
  plots.memory_access(states.access, batch, outputs, workdir / "memory.png",
                      title)
