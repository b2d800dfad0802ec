"""Checks of a configuration before a run starts."""

import jax
import jax.numpy as jnp
import ml_collections

import tasks
from launch.configs import build, devices, members, numbers, sweeps
from launch.configs.config import UsageError
from rmc_nalu_sam.registry import attribute

_AT_LEAST_ONE = ("steps", "batch_size", "accumulate", "log_every", "eval_every",
                 "eval_episodes", "checkpoint_every", "num_seeds")
# Field -> what 0 means.
_ZERO_OR_ABOVE = {"max_minutes": "no limit", "data_timeout": "no limit",
                  "skip_nonfinite": "off",
                  "max_grad_norm": "off", "max_grad_value": "off"}


def check(config: ml_collections.ConfigDict,
          num_devices: int | None = None) -> None:
  """Raises a UsageError of one line if a run with `config` cannot start.

  Args:
    config: From `config.resolve`, `config.load` or `config.reconcile`.
    num_devices: Number of devices that every update must use; None if it may
      use fewer than there are, as `devices.for_training` chooses.
  """
  try:
    _check_names(config)
    each = [sweeps.config_of(config, point) for point in sweeps.points(config)]
    for one in each:
      _check_range(one)
      _check_numbers(one)
    for one in each:
      _check_accumulate(one)
    devices.check(config, num_devices or 1)
    task = build.make_task(config)
    _check_sizes(config, task)
    for one in each:
      build.make_optimizer(one)
      build.make_agent(one)
    _check_memory(config, task)
    _check_agent(config, task)
    _check_curriculum(config, task)
    _check_penalty([one for one in each if not _is_off(config, one)],
                   build.make_model(config, task).units)
    _check_sweep(config)
    _check_seeds(config)
  except (OSError, TypeError, ValueError) as error:
    raise UsageError(str(error)) from None


def _check_range(config):
  """Refuses numbers that JAX would cut off, before one of them is used."""
  for field, value in config.items():
    if field in _AT_LEAST_ONE:
      numbers.check_range(field, value, 1, numbers.MAX_INT)
    elif field != "seed":
      numbers.check(field, value)
  numbers.check_seeds(config.seed, config.num_seeds)
  for kind in members.KINDS:
    for name, value in config[f"{kind}_args"].items():
      numbers.check(f"{kind}.{name}", value)


def _check_numbers(config):
  for field, zero in _ZERO_OR_ABOVE.items():
    if not config[field] >= 0:
      raise ValueError(
          f"{field} must be 0 ({zero}) or above, got {config[field]}")
  rate = members.arguments_of(config, "optimizer").get("learning_rate", 1.)
  if not rate > 0:
    raise ValueError(f"learning_rate must be above 0, got {rate}")


def _check_names(config):
  """Refuses unknown members and arguments of any kind."""
  for kind, registry in members.REGISTRIES.items():
    name = members.name_of(config, kind)
    if name is not None:
      registry.check(name, config[f"{kind}_args"].keys())


def _check_sizes(config, task):
  """Refuses sizes beyond int32, at which XLA ends the process."""
  for name, size in (("inputs", task.input_size),
                     ("answers", task.output_size)):
    if size > numbers.MAX_INT:
      raise ValueError(
          f"task {config.task!r} has {name} of {size} numbers a step, and at "
          f"most {numbers.MAX_INT} are possible; lower a size of --task.X: "
          + ", ".join(f"{k}={v}" for k, v in config.task_args.items()))


def _check_memory(config, task):
  """Refuses a used memory for a core that cannot forget, and for a task that
  carries its state."""
  if config.reuse_memory and not isinstance(task, tasks.Episodes):
    raise ValueError(f"reuse_memory: task {config.task!r} carries the core's "
                     "state anyway; leave out --reuse_memory")
  cores = members.REGISTRIES["core"]
  if config.reuse_memory and not _can_forget(config.core):
    valid = [core for core in cores if _can_forget(core)]
    raise ValueError(
        f"reuse_memory: core {config.core!r} cannot forget its memory; valid "
        f"cores: {', '.join(valid)}; leave out --reuse_memory")


def _check_accumulate(config):
  """Refuses parts of a batch that are not equal, or not independent."""
  parts = config.accumulate
  if parts == 1:
    return
  given = f"accumulate={parts}"
  if config.batch_size % parts:
    raise ValueError(
        f"{given} does not divide batch_size={config.batch_size}; take a "
        f"multiple of {parts}, or --accumulate="
        f"{max(n for n in range(1, parts) if config.batch_size % n == 0)}")
  if config.reuse_memory:
    raise ValueError(f"{given}: each part would copy the memory that "
                     "reuse_memory leaves in place; leave out one of the two")
  if config.rng == "rbg":
    raise ValueError(f"{given}: with rng=rbg, episodes depend on the others of "
                     "their part; leave out one of the two")
  if config.penalty != members.NONE and (
      members.arguments_of(config, "penalty").get("input_weight")):
    raise ValueError(f"{given}: penalty.input_weight needs the mean inputs of "
                     "a whole batch; leave out one of the two")
  agent = members.name_of(config, "agent")
  if agent and attribute(members.REGISTRIES["agent"].get(agent), "DIVISION",
                         None) is None:
    raise ValueError(f"{given}: agent {agent!r} has no DIVISION, which tells "
                     "how to average its parts; leave out --accumulate, or see "
                     "launch/learning/updates/accumulation.py")


def _check_agent(config, task):
  """Refuses an environment without an agent, and what agents cannot do."""
  is_environment = isinstance(task, tasks.Environment)
  valid = ", ".join(members.REGISTRIES["agent"])
  if is_environment and config.agent == members.NONE:
    raise ValueError(f"agent={members.NONE}: task {config.task!r} is an "
                     f"environment, which an agent learns; valid: {valid}")
  if not is_environment and config.agent != members.NONE:
    raise ValueError(
        f"agent={config.agent}: task {config.task!r} has targets to learn "
        f"from, and no environment to act in; leave out --agent")
  if is_environment and config.rng == "rbg":
    raise ValueError("rng=rbg: with it, episodes of an environment would "
                     "depend on each other; leave out --rng")
  if is_environment and config.curriculum != members.NONE:
    raise ValueError(f"curriculum={config.curriculum}: an agent has none; "
                     "leave out --curriculum")
  if is_environment and config.penalty != members.NONE and (
      members.arguments_of(config, "penalty").get("input_weight")):
    raise ValueError("penalty.input_weight: an agent has no such penalty; "
                     "leave it out")


def _can_forget(core):
  return attribute(members.REGISTRIES["core"].get(core), "CAN_FORGET", False)


def _check_curriculum(config, task):
  """Refuses a level that is too high now, not after hours of training."""
  curriculum = build.make_curriculum(config)
  if curriculum is None:
    return
  if not isinstance(task, tasks.Levelled):
    raise ValueError(
        f"curriculum={config.curriculum}: task {config.task!r} has no levels; "
        "leave out --curriculum, or choose another --task")
  try:
    task.at_level(curriculum.max_level)
  except ValueError as error:
    raise ValueError(f"curriculum.max_level={curriculum.max_level} is too "
                     f"high: {error}") from None


def _is_off(config, one):
  """Returns whether a value of a sweep is the weight 0.

  Its start and end are useless then, and are those of the other weights.
  """
  return "weight" in sweeps.of_kind(
      config, "penalty") and not one.penalty_args["weight"]


def _check_penalty(configs, units):
  """Refuses a penalty that no unit has: it would be 0 in every update.

  Args:
    configs: Of each value of a sweep; one without a sweep.
    units: Of the network.
  """
  config, found = configs[0], [build.make_penalty(one) for one in configs]
  if found[0] is None:
    return
  weights = {name: max(getattr(penalty, name, 0.) for penalty in found)
             for name in ("weight", "input_weight")}
  for name, has in (("weight", "has_penalty"),
                    ("input_weight", "has_input_penalty")):
    if weights[name] and not any(getattr(u, has) for u in units.values()):
      raise ValueError(
          f"penalty.{name}={weights[name]:g}: no unit in the network has such "
          "a penalty; --unit=nmu has one")
  if config.penalty in members.REGISTRIES["penalty"] and not any(
      weights.values()):
    raise ValueError(
        f"penalty={config.penalty} has penalty.weight=0 and "
        "penalty.input_weight=0; set one of them, or leave out --penalty")


def _check_seeds(config):
  if sweeps.num_entries(config) == 1:
    return
  for field, off in (("curriculum", members.NONE), ("reuse_memory", False)):
    if config[field] != off:
      given = ", ".join(f"{name}={sweeps.shown(values)}"
                        for name, values in config.sweep)
      raise ValueError(
          f"{field}={config[field]} is for one seed at a time, and " + (
              f"{given} is a sweep: start a run for each value and seed"
              if given else
              f"num_seeds={config.num_seeds}: start a run for each seed"))


def _check_sweep(config):
  """Refuses members of the user's own that need their numbers in Python."""
  if not config.sweep:
    return
  params = jnp.zeros(1)

  def update(numbers):
    optimizer, *_ = build.make_rules(config, numbers)
    return optimizer.update(params, optimizer.init(params), params)

  try:
    jax.eval_shape(update, sweeps.points(config)[0])
  except jax.errors.JAXTypeError:
    names = ", ".join(name for name, _ in config.sweep)
    raise ValueError(
        f"{names} cannot vary within a program: optimizer "
        f"{config.optimizer!r}, schedule {config.schedule!r} or penalty "
        f"{config.penalty!r} decides by it in Python; give one value, and "
        "start a run for each") from None
