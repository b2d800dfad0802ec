"""Windows of a text, with the core's state carried from one to the next.

Letters: T steps of a window, B rows on one device, R rows over all devices.
"""

from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import tasks
from launch.learning import layout, scoring, sources
from launch.learning.layout import Share
from launch.learning.updates.accumulation import Division
from rmc_nalu_sam import Model, Unrolled


class StreamState(NamedTuple):
  """Holds where each row of a text is read, and what the core remembers of it.

  Attributes:
    position: `[B]` int32, targets of the row that were read.
    begins: `[B]` bool, whether the core's state is new in the window drawn
      last.
    vocabulary: `[B]` uint32, a digest of the tokens' meaning.
    core: the core's state after the window before.
  """

  position: jax.Array
  begins: jax.Array
  vocabulary: jax.Array
  core: Any


class StreamSource:
  """Reads the rows of a text window by window, again and again.

  Row r is the same one on any number of devices. The core's state is carried
  from window to window, without gradients. It is new where a row begins, and
  now and then before other windows, see `tasks.Stream`.
  """

  IS_ALWAYS_SAVED = True

  def __init__(self, model: Model, vocabulary: int = 0):
    """Constructs a source.

    Args:
      model: the network.
      vocabulary: a digest of the tokens' meaning, below 2^32.
    """
    self._model = model
    self._vocabulary = vocabulary

  def model(self, task: tasks.Task) -> Model:
    del task
    return self._model

  def initial_state(self, params: Any, batch_size: int) -> StreamState:
    return StreamState(
        jnp.zeros(batch_size, jnp.int32), jnp.ones(batch_size, bool),
        jnp.full(batch_size, self._vocabulary, jnp.uint32),
        self._model.initial_state(params, batch_size))

  def next(self, state: StreamState, params: Any, key: jax.Array,
           task: tasks.Stream, level: None, data: Any, batch_size: int,
           share: layout.Share) -> tuple[tasks.Batch, StreamState]:
    del params, level
    corpus = task.corpus(data)
    rows = _rows(len(state.position), share)
    batch = task.window(corpus, rows, batch_size, state.position)
    read = state.position + task.num_steps
    is_over = read >= tasks.row_length(corpus, batch_size)
    is_dropped = jax.vmap(lambda key: jax.random.bernoulli(
        key, task.drop_state))(sources.split_share(key, batch_size, share))
    return batch, state._replace(
        position=jnp.where(is_over, 0, read),
        begins=is_dropped | (state.position == 0))

  def start(self, state: StreamState, params: Any, task: tasks.Task,
            batch_size: int) -> Any:
    del task

    def renewed():
      new = self._model.initial_state(params, batch_size)
      return jax.tree.map(lambda new, old: jnp.where(
          state.begins.reshape(-1, *[1] * (old.ndim - 1)), new, old),
                          new, state.core)

    # Most windows go on, and must not pay for a new memory. Those of many seeds
    # in one program do: under `jax.vmap` both branches are computed.
    return jax.lax.cond(state.begins.any(), renewed, lambda: state.core)

  def finish(self, state: StreamState, params: Any,
             core_state: Any) -> StreamState:
    del params
    return state._replace(core=core_state)

  def is_spent(self, state: StreamState, task: tasks.Stream,
               num_updates: int) -> bool:
    del state, task, num_updates
    return False

  def carried(self, state: StreamState) -> Any:
    return state.core

  def check(self, state: StreamState) -> None:
    if (state.vocabulary != self._vocabulary).any():
      raise ValueError(
          "the checkpoint was trained with another vocabulary (digest "
          f"{int(np.ravel(state.vocabulary)[0]):08x}) than that of the data "
          f"({self._vocabulary:08x}); give the --data_dir of its training")


class StreamScorer(scoring.Scorer):
  """Scores windows by sums over their targets."""

  DIVISION: ClassVar[Division] = Division("targets", ("loss",))

  def mean_loss(self, model: Model, params: Any, rng: Any, start: Any,
                batch: tasks.Batch, task: Any, share: Share
                ) -> tuple[jax.Array, dict[str, jax.Array], Any]:
    """Returns the loss of a target, means over rows of sums, and the state.

    The mean over shares of the losses is the mean over all targets of the
    batch, so that rows with few of them weigh less.
    """
    metrics, unrolled = self.score(model, params, rng, start, batch, task)
    means = jax.tree.map(jnp.mean, metrics)
    num_targets = jnp.maximum(share.mean(means["targets"]), 1e-9)
    means["loss"] = means["nats"] / num_targets
    means |= self._input_penalty(model, params, unrolled, share)
    return means["loss"], means, unrolled.state

  def score(self, model: Model, params: Any, rng: Any, start: Any,
            batch: tasks.Batch, task: Any
            ) -> tuple[dict[str, jax.Array], Unrolled]:
    """Returns the metrics of each row, `[B]`, and what was unrolled."""
    targets = batch.targets if task.score.of_targets else None
    unrolled = model.unroll(
        params, rng, batch.inputs, start, targets=targets,
        return_unit_inputs=self.measures_inputs)
    return task.score.metrics(unrolled.outputs, batch), unrolled

  def mean_of_text(self, model: Model, params: Any, data: Any,
                   task: tasks.Stream, num_rows: int, share: Share
                   ) -> dict[str, jax.Array]:
    """Returns this share's part of the sums over a whole text.

    Ratios of the sums do not depend on the number of shares, but for rounding.
    No target is left out.

    Args:
      model: the network.
      params: of the network.
      data: of the task.
      task: whose text to read.
      num_rows: R, rows to cut the text into. The first words of a row have no
        context. Shares without a row of their own read empty ones.
      share: of the rows.
    """
    size = scoring.share_size(num_rows, share)
    corpus, rows = task.corpus(data), _rows(size, share)

    def one(state, number):
      position = jnp.full(size, number * task.num_steps)
      batch = task.window(corpus, rows, num_rows, position)
      metrics, unrolled = self.score(model, params, None, state, batch, task)
      return unrolled.state, jax.tree.map(jnp.sum, metrics)

    _, sums = jax.lax.scan(
        one, model.initial_state(params, size),
        jnp.arange(tasks.num_windows(task, corpus, num_rows)))
    return jax.tree.map(jnp.sum, sums)


def _rows(size: int, share: Share) -> jax.Array:
  """Returns the numbers of the rows of a share, `[B]`."""
  return share.part * size + jnp.arange(size)
