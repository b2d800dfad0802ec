"""The adaptive softmax: log-probabilities of many classes at a low cost.

Letters: N tokens, F inputs, V classes, S shortlist, C clusters, R units of a
cluster's projection, M classes of a cluster.
"""

import operator
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam import narrow
from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import align, as_float
from rmc_nalu_sam.checks import check_positive, check_rate
from rmc_nalu_sam.dropout import locked
from rmc_nalu_sam.heads import log_probs
from rmc_nalu_sam.heads.cluster import Tail, TiedTail, log_probs_within
from rmc_nalu_sam.heads.log_probs import pick, widen


class _Weights(NamedTuple):
  """Holds `head [F, S + C]`, `bias [S + C]` or None, and C tails."""

  head: jax.Array
  bias: jax.Array | None
  tails: tuple[Tail | TiedTail, ...]

  def logits(self, x: jax.Array) -> jax.Array:
    """Returns `[..., S + C]`: of the shortlist, then one for each cluster."""
    logits = narrow.matmul(x, self.head)
    if self.bias is not None:
      logits = logits + align(self.bias, logits)
    return widen(logits)


class AdaptiveSoftmax(Checked, hk.Module):
  r"""Maps a core's outputs to log-probabilities of classes sorted by frequency.

  The first classes, the shortlist, have a logit each. The other ones are in
  clusters. The probability of such a class is that of its cluster, which has
  one logit beside the shortlist, times that of the class within its cluster:

  .. math::

    \log p(w) &= \log \mathrm{softmax}(W_0 h + b)_w
      \quad \text{for } w < S \\
    \log p(w) &= \log \mathrm{softmax}(W_0 h + b)_{S + i}
      + \log \mathrm{softmax}(U_i D_i h)_{w - c_i}
      \quad \text{in cluster } i

  for S classes of the shortlist and :math:`c_i` the first class of cluster i.
  :math:`D_i` maps F numbers to F / div_value^(i + 1), so rare classes cost
  less. A token takes F (S + C) multiplications for the head, and
  :math:`R_i (F + M_i)` for the cluster i; a full softmax takes F V.
  `__call__` computes all clusters. `log_prob_of` and `loss` compute a cluster
  for the tokens in it alone, with a remainder of less than a chunk (a sixteenth
  of the tokens, and at least 64 of more than 64); in a backward pass they
  compute it once more, and never hold more of its logits than a chunk's. Under
  `jax.vmap` each element computes as many chunks as the one that has most.

  See "Efficient softmax approximation for GPUs" (Grave, Joulin, Cisse,
  Grangier, Jegou, 2017, arXiv 1609.04309).

  Example:
    >>> head = hk.transform(
    ...     lambda h: rmc_nalu_sam.AdaptiveSoftmax(50, cutoffs=(10, 30))(h))
    >>> params = jax.jit(head.init)(jax.random.key(0), jnp.ones([32]))
    >>> weights = params["adaptive_softmax"]  # Rare classes take few numbers.
    >>> [weights[name].shape for name in ("head", "tail_0_up", "tail_1_up")]
    [(32, 12), (8, 20), (2, 20)]
    >>> log_probs = jax.jit(head.apply)(params, None, jnp.ones([32]))
    >>> log_probs.shape, round(float(jnp.exp(log_probs).sum()), 3)
    ((50,), 1.0)

  Notes:
    The parameters are those of `torch.nn.AdaptiveLogSoftmaxWithLoss`,
    transposed. Log-probabilities are float32 or wider. With cutoffs,
    `log_prob_of` and `loss` have no derivative in forward mode, and no second
    one under `jax.jit`; `__call__` has all.
  """

  CAN_BE_TIED: ClassVar[bool] = True
  DROPS_OUT: ClassVar[tuple[str, ...]] = ("dropout",)

  def __init__(self, output_size: int, cutoffs: str | Sequence[int] = "",
               div_value: float = 4., head_bias: bool = False,
               tied: bool = False, dropout: float = 0.,
               tied_to: log_probs.Embedding | None = None,
               name: str | None = None):
    """Constructs a head.

    Args:
      output_size: V, number of classes, the most frequent one first.
      cutoffs: increasing numbers of classes, such as "2000,10000": the size of
        the shortlist, and the first class of each further cluster. Without any
        the head is a full softmax.
      div_value: how many times smaller each cluster's projection is than that
        of the cluster before; the first one's is so many times smaller than the
        core's output.
      head_bias: whether the logits of the shortlist and of the clusters have
        biases.
      tied: whether the rows of the encoder's embedding are the weights of the
        classes, so that `make_model` passes `tied_to`. The projections then
        have as many units as the core's output, whatever `div_value` is.
      dropout: rate at which numbers of the core's output are dropped, the same
        ones at all steps of a sequence.
      tied_to: `[V, F]`, an embedding whose rows are the weights of the classes,
        or a function that returns it.
      name: name of the module.

    Raises:
      ValueError: a cutoff or another argument is not valid, or the head is tied
        and there is no embedding.
    """
    super().__init__(name=name)
    check_positive(output_size=output_size)
    check_rate(dropout=dropout)
    log_probs.check_tied(tied, tied_to)
    if not div_value >= 1:
      raise ValueError(f"div_value must be at least 1, got {div_value}")
    self._cutoffs = _parse(cutoffs, output_size)
    self._bounds = (0, *self._cutoffs, output_size)
    self._div_value = div_value
    self._head_bias = head_bias
    self._dropout = dropout
    self._tied_to = tied_to

  def __call__(self, outputs: jax.Array) -> jax.Array:
    """Returns the log-probabilities `[..., V]` of all classes.

    Args:
      outputs: `[..., F]` of a core; `[T, B, F]` if numbers are dropped.

    Raises:
      ValueError: a cluster is left without a unit, or the tied embedding has
        another shape.
    """
    outputs = locked(as_float(outputs), self._dropout)
    weights = self._weights(outputs)
    head = jax.nn.log_softmax(weights.logits(outputs))
    size = self._bounds[1]
    dtype = narrow.current()
    return jnp.concatenate([head[..., :size]] + [
        head[..., size + i, None] + jax.nn.log_softmax(
            tail.logits(outputs, dtype))
        for i, tail in enumerate(weights.tails)], axis=-1)

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
    weights = self._weights(outputs)

    def compute(x, targets):
      cluster = sum(((targets >= cutoff).astype(jnp.int32)
                     for cutoff in self._cutoffs), jnp.zeros_like(targets))
      result = pick(weights.logits(x), jnp.where(
          cluster == 0, targets, self._bounds[1] + cluster - 1))
      for i, tail in enumerate(weights.tails):
        result += log_probs_within(
            tail, x, targets - self._bounds[i + 1], cluster == i + 1)
      return result

    return log_probs.of_tokens(compute, outputs, targets, self._bounds[-1])

  def loss(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Returns the mean negative log-probability (nats) of targets, `[]`.

    Args:
      outputs: as of `log_prob_of`.
      targets: as of `log_prob_of`.

    Raises:
      ValueError: as `__call__`.
    """
    return -self.log_prob_of(outputs, targets).mean()

  @hk.transparent
  def _weights(self, x: jax.Array) -> _Weights:
    def parameter(name, *shape):
      init = hk.initializers.TruncatedNormal(shape[0]**-.5)
      return hk.get_parameter(name, shape, x.dtype, init)

    num_inputs, num_clusters = x.shape[-1], len(self._cutoffs)
    size = self._bounds[1]
    rows = None if self._tied_to is None else log_probs.tied_rows(
        self._tied_to, self._bounds[-1], num_inputs, x.dtype)
    if rows is None:
      head = parameter("head", num_inputs, size + num_clusters)
    elif num_clusters:
      clusters = parameter("clusters", num_inputs, num_clusters)
      head = jnp.concatenate([rows[:size].T, clusters], axis=1)
    else:
      head = rows.T
    tails = list[Tail | TiedTail]()
    for i in range(num_clusters):
      low, high = self._bounds[i + 1:i + 3]
      units = self._units(i, num_inputs)
      down = parameter(f"tail_{i}_down", num_inputs, units)
      tails.append(
          Tail(down, parameter(f"tail_{i}_up", units, high - low))
          if rows is None else TiedTail(down, rows[low:high]))
    bias = hk.get_parameter("head_bias", [size + num_clusters], x.dtype,
                            jnp.zeros) if self._head_bias else None
    return _Weights(head, bias, tuple(tails))

  @hk.transparent
  def _units(self, i, num_inputs):
    """Returns R of cluster i."""
    if self._tied_to is not None:
      return num_inputs
    units = int(num_inputs // self._div_value**(i + 1))
    if not units:
      raise ValueError(
          f"div_value={self._div_value} leaves cluster {i} no unit, because "
          f"the core has {num_inputs} outputs; take a smaller div_value, fewer "
          "cutoffs or a larger core")
    return units


def _parse(cutoffs, output_size):
  """Returns cutoffs as a tuple of integers."""
  words = (cutoffs.split(",") if cutoffs.strip() else []) if isinstance(
      cutoffs, str) else cutoffs
  try:
    numbers = tuple(int(word) if isinstance(word, str) else
                    operator.index(word) for word in words)
  except (TypeError, ValueError):
    numbers = (0,)
  if not all(a < b for a, b in zip(
      (0, *numbers), (*numbers, output_size), strict=True)):
    raise ValueError(
        f"cutoffs must be increasing whole numbers from 1 to {output_size - 1} "
        f"(below output_size={output_size}), such as '1,2', got {cutoffs!r}")
  return numbers
