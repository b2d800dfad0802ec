"""Runs a learner on all devices, for one seed or many."""

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

import tasks
from launch.learning import curriculum as curriculum_lib
from launch.learning import keys as keys_lib
from launch.learning.layout import Layout, SplitBatch
from launch.learning.learner import Learner, RunState
from launch.learning.updates import skipping
from launch.learning.watching import recompiling, timing
from rmc_nalu_sam import Model

# A larger source state (the memory of millions of slots) is not saved, unless
# the run could not go on without it. A resumed run then starts in a new memory:
# its numbers may differ in the last bits, since other slots are free.
MAX_SAVED_BYTES = 2**28

Metrics = dict[str, np.ndarray]  # Name -> float64 [S].


class Entry(NamedTuple):
  """Holds what tells one network of a program from the others.

  Attributes:
    keys: of its seed.
    numbers: of its value in a sweep, by flag; empty without a sweep.
  """

  keys: keys_lib.Keys
  numbers: dict[str, Any]


class Trainer:
  """Compiles a learner's functions and calls them.

  Nothing of a run lies in a trainer: all that changes is in the `RunState`. It
  knows what it has compiled, to log why it compiles again.

  Attributes:
    learner: what is trained.
    layout: devices and seeds.
    seeds: `[S]`, the seeds of the networks; in a sweep those of the first
      value, then those of the second, and so on.
  """

  def __init__(self, learner: Learner, layout: Layout | None = None, *,
               seed: int = 0, generator: str = "threefry",
               numbers: Sequence[Mapping[str, float]] = ({},)):
    """Constructs a trainer; compiles nothing yet.

    Args:
      learner: what to train.
      layout: devices and seeds; `SplitBatch()` if None.
      seed: the first seed.
      generator: a name in `keys.GENERATORS`.
      numbers: of each value of a sweep, by flag. The networks of the layout
        are the same seeds with each value.

    Raises:
      ValueError: the values do not divide the networks.
    """
    self.learner = learner
    self.layout = layout or SplitBatch()
    num_seeds, rest = divmod(self.layout.num_seeds, len(numbers))
    if rest:
      raise ValueError(f"{self.layout.num_seeds} networks do not divide over "
                       f"{len(numbers)} values")
    self.seeds = [*range(seed, seed + num_seeds)] * len(numbers)
    self._generator = generator
    self._keys = [keys_lib.make_keys(each, generator) for each in self.seeds]
    # Keys are arguments: XLA would spend minutes on folding what follows from
    # constants.
    self._entries = [
        Entry(keys_lib.unwrap(keys), _arrays(numbers[i // num_seeds]))
        for i, keys in enumerate(self._keys)]
    self._inputs = self.layout.put_keys(self._entries)
    self._recompilations = recompiling.Recompilations()
    self._begin = self.layout.compile(self._begin_on_device)
    self._train: Any = self.layout.compile(
        self._train_on_device, num_static=2, donate=True)
    self._nonfinite = self.layout.compile(
        self._nonfinite_on_device, num_static=1)
    self._evaluate = self.layout.compile(
        self._evaluate_on_device, num_static=3)

  @property
  def model(self) -> Model:
    """Returns the network."""
    return self.learner.model

  def keys(self, index: int = 0) -> keys_lib.Keys:
    """Returns the keys of network number `index`."""
    return self._keys[index]

  def initial_state(self, params: Any = None) -> RunState:
    """Returns the state before the first update, on the host.

    Args:
      params: of one network, with which all seeds start; new ones if None.
    """
    train = self.layout.once(
        functools.partial(self._initial_of_seed, params=params), self._entries)
    if not self._saves_source(train.params):
      return RunState(train)
    return self.get(self.put(RunState(train)))

  def empty_state(self) -> RunState:
    """Returns zeros like `initial_state`; computes no parameters.

    It is what a checkpoint is read into.
    """
    train = jax.eval_shape(self._initial_of_seed, self._entries[0])
    zeros = lambda x: np.zeros(self.layout.shape_of_all(x.shape), x.dtype)  # noqa: E731
    if not self._saves_source(train.params):
      return RunState(jax.tree.map(zeros, train))
    source = jax.eval_shape(
        lambda params: self.learner.source.initial_state(
            params, self.learner.batch_size), train.params)
    return RunState(*jax.tree.map(zeros, (train, source)))

  def put(self, state: RunState) -> RunState:
    """Puts a state from the host on the devices.

    A source state that was not saved is made anew.
    """
    train = self.layout.put(state.train)
    if jax.tree.leaves(state.source):
      return RunState(train, self.layout.shard(state.source))
    return RunState(train, self._new_source(train.params))

  def get(self, state: RunState) -> RunState:
    """Returns a state on the host, as it is saved."""
    train = self.layout.get(state.train)
    saves = self._saves_source(train.params)
    return RunState(
        train, self.layout.unshard(state.source) if saves else ())

  def put_data(self, data: Any) -> Any:
    """Puts one copy of the task's data on each device."""
    return self.layout.replicate(data)

  def get_data(self, data: Any) -> Any:
    """Returns one copy of the task's data on the host."""
    return self.layout.first(data)

  def put_params(self, params: Any) -> Any:
    """Puts parameters from the host on the devices, to evaluate them."""
    return self.layout.put(params)

  def get_params(self, params: Any) -> Any:
    """Returns parameters on the host; of many seeds, `[S, ...]`."""
    return self.layout.get(params)

  def params_of(self, params: Any, index: int) -> Any:
    """Returns the parameters of network `index`, from `get_params`."""
    if len(self.seeds) == 1:
      return params
    return jax.tree.map(lambda x: x[index], params)

  def train(self, state: RunState, data: Any,
            num_updates: int) -> tuple[RunState, Metrics]:
    """Does some updates of every seed.

    Args:
      state: on the devices; donated, so it cannot be used afterwards.
      data: from `put_data`, of the training split.
      num_updates: how many.

    Returns:
      The state after them; the means of loss, metrics and the gradient's norm
      over them.

    Raises:
      ValueError: the batch size does not divide over the layout's parts.
    """
    self._check_division()
    if not self.learner.curriculum:
      return self._call_train(state, data, num_updates, None)
    means: Metrics = collections.defaultdict(lambda: np.zeros(1))
    step = self._step(state)
    last = step + num_updates
    while step < last:
      levels = self._levels(state, step)
      count = min(last - step, curriculum_lib.STRETCH
                  - step % curriculum_lib.STRETCH)
      state, metrics = self._call_train(state, data, count, levels)
      for name, value in metrics.items():
        means[name] = means[name] + value * count / num_updates
      step += count
    return state, dict(means)

  def compiled(self, state: RunState, data: Any, num_updates: int
               ) -> tuple[Any, Callable[[RunState], RunState]]:
    """Compiles updates by themselves; with a curriculum, at its first levels.

    Args:
      state: on the devices, of these shapes.
      data: from `put_data`, of the training split.
      num_updates: how many.

    Returns:
      The compiled program, which tells its memory; and a function that does the
      updates. The state that it gets is donated.
    """
    curriculum = self.learner.curriculum
    levels = curriculum and curriculum.draw_levels(
        self.seeds[0], 0, curriculum.start)
    program = self._train.lower(
        self._inputs, state, data, num_updates, levels).compile()
    return program, lambda state: program(self._inputs, state, data)[0]

  def nonfinite(self, state: RunState, data: Any) -> dict[str, np.ndarray]:
    """Returns what is not finite in the next update; see `Learner.nonfinite`.

    Args:
      state: on the devices; it stays there.
      data: from `put_data`, of the training split.

    Returns:
      'params' and 'gradients', `[S, N]` bool, of the parameters in the order of
      JAX's leaves; and 'loss', `[S, 1]`.
    """
    levels = None
    if self.learner.curriculum:
      levels = self._levels(state, self._step(state))
    return {name: each > 0 for name, each in self.layout.metrics(
        self._nonfinite(self._inputs, state, data, levels)).items()}

  def skips(self, state: RunState) -> skipping.Skips:
    """Returns how many updates were skipped, `[S]`.

    Args:
      state: on the devices, of a learner that skips.
    """
    return jax.tree.map(np.atleast_1d, self.layout.get(state.train.skips))

  def _levels(self, state, step):
    """Returns the bucket of levels at a step."""
    assert self.learner.curriculum is not None
    level = int(self.layout.first(state.train.curriculum.level))
    return self.learner.curriculum.draw_levels(self.seeds[0], step, level)

  def _check_division(self):
    # Only updates need equal shares: an evaluation pads the last one.
    batch_size, num_parts = self.learner.batch_size, self.layout.num_parts
    accumulate = self.learner.accumulate
    if batch_size % (num_parts * accumulate):
      each = f", each in {accumulate} parts" if accumulate > 1 else ""
      raise ValueError(
          f"batch_size={batch_size} does not divide over {num_parts} devices"
          f"{each}; valid: multiples of {num_parts * accumulate}")

  def _call_train(self, state, data, num_updates, levels):
    task = self.learner.padded_task(levels)
    if self.learner.source.is_spent(
        self.layout.own(state.source), task, num_updates):
      state = state._replace(source=self._new_source(state.train.params))
    with timing.Meter() as meter:
      state, metrics = self._train(
          self._inputs, state, data, num_updates, levels)
    if meter.compile_seconds:
      self._recompilations.compiled(
          self._step(state) - num_updates, meter.compile_seconds, num_updates,
          levels)
    return state, self.layout.metrics(metrics)

  def level(self, state: RunState) -> int | None:
    """Returns the level that the curriculum has reached; None without one.

    Args:
      state: on the devices.
    """
    if not self.learner.curriculum:
      return None
    return int(self.layout.first(state.train.curriculum.level))

  def _step(self, state):
    return int(np.min(self.layout.get(state.train.step)))

  def evaluate(self, params: Any, data: Any,
               task: tasks.Trainable | None = None,
               num_episodes: int = 512,
               batch_size: int | None = None) -> Metrics:
    """Returns mean loss and metrics over fixed episodes, always the same ones.

    Neither the number of devices nor `batch_size` changes the episodes. Their
    float32 sums are in another order, so the last bits may differ. A `Stream`
    is read in `batch_size` rows, each from a new state.

    Args:
      params: on the devices.
      data: from `put_data`, of the split to evaluate.
      task: the task if it is not the one trained on.
      num_episodes: of each seed.
      batch_size: episodes at once, over all devices; that of an update if None.
        A share of it on each device is rounded up.

    Raises:
      ValueError: one of these numbers is not above 0.
    """
    if batch_size is None:
      batch_size = self.learner.batch_size
    if num_episodes < 1 or batch_size < 1:
      raise ValueError("num_episodes and batch_size must be at least 1, got "
                       f"{num_episodes} and {batch_size}")
    return self.layout.metrics(self._evaluate(
        self._inputs, params, data, task or self.learner.task, num_episodes,
        batch_size))

  def _initial_of_seed(self, entry, params=None):
    return self.learner.with_numbers(entry.numbers).initial_state(
        keys_lib.wrap(entry.keys, self._generator), params)

  def _new_source(self, params):
    """Returns a new source state, on the devices."""
    if not self._source_bytes(params):
      return ()
    with timing.waiting_for_data():
      return jax.block_until_ready(self._begin(self._inputs, params, None))

  def _saves_source(self, params):
    size = self._source_bytes(params)
    return size > 0 and (self.learner.source.IS_ALWAYS_SAVED
                         or size <= MAX_SAVED_BYTES)

  def _source_bytes(self, params):
    state = jax.eval_shape(
        lambda params: self.learner.source.initial_state(
            params, self.learner.batch_size), params)
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))

  def _begin_on_device(self, share, entry, params, data):
    del entry, data
    return self.learner.source.initial_state(
        params, self.learner.batch_size // share.num_parts)

  def _train_on_device(self, share, entry, state, data, num_updates, levels):
    keys = keys_lib.wrap(entry.keys, self._generator)
    return self.learner.with_numbers(entry.numbers).train(
        keys, state, self.learner.data(keys, data), num_updates, levels, share)

  def _nonfinite_on_device(self, share, entry, state, data, levels):
    keys = keys_lib.wrap(entry.keys, self._generator)
    return self.learner.with_numbers(entry.numbers).nonfinite(
        keys, state, self.learner.data(keys, data), levels, share)

  def _evaluate_on_device(self, share, entry, params, data, task,
                          num_episodes, batch_size):
    keys = keys_lib.wrap(entry.keys, self._generator)
    return self.learner.with_numbers(entry.numbers).evaluate(
        keys, params, self.learner.data(keys, data), task, num_episodes,
        batch_size, share)


def _arrays(numbers: Mapping[str, float]) -> dict[str, np.ndarray]:
  """Returns numbers as arrays `[]`: int32 for an int, else float32."""
  return {name: np.array(value, np.int32 if isinstance(value, int)
                         else np.float32) for name, value in numbers.items()}
