"""The full softmax over many classes.

Letters: N tokens, F inputs, V classes.
"""

from typing import ClassVar

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import align, as_float
from rmc_nalu_sam.checks import check_positive, check_rate
from rmc_nalu_sam.dropout import locked
from rmc_nalu_sam.heads import log_probs
from rmc_nalu_sam.heads.linear_log_probs import linear_log_probs


class Softmax(Checked, hk.Module):
  r"""Maps a core's outputs to the logits of classes.

  .. math::

    \log p(w) = \log \mathrm{softmax}(W h + b)_w

  `log_prob_of` takes less time and memory than the logits of all tokens; see
  `linear_log_probs`.

  W is the encoder's embedding if the head is tied: see "Using the Output
  Embedding to Improve Language Models" (Press, Wolf, 2016, arXiv 1608.05859).

  Example:
    >>> def network(outputs, targets):
    ...   head = rmc_nalu_sam.Softmax(50)
    ...   return head.log_prob_of(outputs, targets), head(outputs)
    >>> inputs = jnp.ones([11, 2, 5]), jnp.zeros([11, 2], int)
    >>> network = hk.transform(network)
    >>> params = jax.jit(network.init)(jax.random.key(0), *inputs)
    >>> log_probs, logits = jax.jit(network.apply)(params, None, *inputs)
    >>> log_probs.shape, logits.shape
    ((11, 2), (11, 2, 50))
  """

  CAN_BE_TIED: ClassVar[bool] = True
  DROPS_OUT: ClassVar[tuple[str, ...]] = ("dropout",)

  def __init__(self, output_size: int, tied: bool = False, dropout: float = 0.,
               tied_to: log_probs.Embedding | None = None,
               name: str | None = None):
    """Constructs a head.

    Args:
      output_size: V, number of classes.
      tied: whether the encoder's embedding is the weights, so that
        `make_model` passes `tied_to`. The biases are free.
      dropout: rate at which numbers of the core's output are dropped, the same
        ones at all steps of a sequence.
      tied_to: `[V, F]`, an embedding whose rows are the weights of the classes,
        or a function that returns it.
      name: name of the module.

    Raises:
      ValueError: an argument is not valid, or the head is tied and there is no
        embedding.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size)
    check_rate(dropout=dropout)
    log_probs.check_tied(tied, tied_to)
    self._output_size = output_size
    self._dropout = dropout
    self._tied_to = tied_to

  def __call__(self, outputs: jax.Array) -> jax.Array:
    """Returns the logits `[..., V]` of all classes.

    Args:
      outputs: `[..., F]` of a core; `[T, B, F]` if numbers are dropped.

    Raises:
      ValueError: the tied embedding has another shape.
    """
    outputs = locked(as_float(outputs), self._dropout)
    return _logits(*self._weights(outputs), outputs)

  def log_prob_of(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns the log-probabilities `[...]` of one class each.

    Args:
      outputs: as of `__call__`.
      targets: `[...]`, integers. The result is NaN where one is not from 0 to
        V - 1.

    Raises:
      ValueError: as `__call__`.
    """
    outputs = locked(as_float(outputs), self._dropout)
    w, b = self._weights(outputs)
    dtype = narrow.current() or outputs.dtype
    return log_probs.of_tokens(
        lambda x, index: linear_log_probs(
            w.T.astype(dtype), b, x.astype(dtype), index),
        outputs, targets, self._output_size)

  @hk.transparent
  def _weights(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns `[F, V]` and `[V]`."""
    num_inputs, size = x.shape[-1], self._output_size
    if self._tied_to is None:
      w = hk.get_parameter("w", [num_inputs, size], x.dtype,
                           hk.initializers.TruncatedNormal(num_inputs**-.5))
    else:
      w = log_probs.tied_rows(self._tied_to, size, num_inputs, x.dtype).T
    return w, hk.get_parameter("b", [size], x.dtype, jnp.zeros)


def _logits(w, b, x):
  logits = narrow.matmul(x, w)
  return log_probs.widen(logits + align(b, logits))
