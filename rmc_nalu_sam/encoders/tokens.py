"""Embeds integer tokens."""

from typing import Any, ClassVar

import haiku as hk
import jax
import jax.numpy as jnp

from rmc_nalu_sam.arguments import Checked
from rmc_nalu_sam.arrays import Rows
from rmc_nalu_sam.checks import check_positive, check_rate
from rmc_nalu_sam.dropout import locked, shared_key, word_dropout

_INIT = hk.initializers.RandomUniform(-.1, .1)


class Tokens(Checked, hk.Module):
  """Embeds integer tokens by a table of vectors.

  The dropouts are those of the AWD-LSTM: see "Regularizing and Optimizing LSTM
  Language Models" (Merity, Keskar, Socher, 2017, arXiv 1708.02182), sections
  4.2 and 4.3.

  Notes:
    The table starts uniform within 0.1, as in the authors' code.

  Example:
    >>> from rmc_nalu_sam.encoders import Tokens
    >>> encode = hk.transform(lambda tokens: Tokens(7, output_size=3)(tokens))
    >>> tokens = jnp.zeros([11, 2], int)
    >>> params = encode.init(jax.random.key(0), tokens)
    >>> encode.apply(params, None, tokens).shape
    (11, 2, 3)
  """

  ENCODES_ALL_STEPS: ClassVar[bool] = True
  OF_TOKENS: ClassVar[bool] = True
  DROPS_OUT: ClassVar[tuple[str, ...]] = ("dropout", "word_dropout")

  def __init__(self, vocabulary_size: int, output_size: int = 64,
               dropout: float = 0., word_dropout: float = 0.,
               name: str | None = None):
    """Constructs an embedding.

    Args:
      vocabulary_size: V, number of different tokens.
      output_size: E, size of a token's vector.
      dropout: rate at which numbers of the vectors are dropped, the same ones
        at all steps of a sequence.
      word_dropout: rate at which tokens are dropped, each wherever it occurs in
        the batch.
      name: name of the module.

    Raises:
      ValueError: a size is below 1, or a rate is not in [0, 1).
    """
    super().__init__(name=name)
    check_positive(vocabulary_size=vocabulary_size, output_size=output_size)
    check_rate(dropout=dropout, word_dropout=word_dropout)
    self._shape = (vocabulary_size, output_size)
    self._dropout = dropout
    self._word_dropout = word_dropout

  def __call__(self, inputs: jax.Array) -> jax.Array:
    """Returns the vectors `[T, B, E]` of tokens `[T, B]`.

    Args:
      inputs: integers. The vector is NaN where one is not from 0 to V - 1.

    Raises:
      ValueError: the inputs are not integers.
    """
    _check_integers(inputs)
    table = self._table()
    vectors, scale = Rows(table, inputs).take(), self._word_scale(table.dtype)
    if scale is not None:
      # Not of the whole table: most of it is not used.
      vectors *= Rows(scale, inputs).take()
    return locked(vectors, self._dropout)

  def as_rows(self, inputs: jax.Array) -> Rows | jax.Array:
    """Returns the vectors as rows of the table, where that saves time.

    That is where the table is smaller than the vectors, as it is for
    characters, and `dropout` is 0. A layer after it can then multiply the table
    in place of the vectors.

    Args:
      inputs: as of `__call__`.

    Returns:
      The rows; elsewhere the vectors of `__call__`.

    Raises:
      ValueError: as `__call__`.
    """
    _check_integers(inputs)
    if self._dropout or inputs.size <= self._shape[0]:
      return self(inputs)
    table = self._table()
    scale = self._word_scale(table.dtype)
    return Rows(table if scale is None else table * scale, inputs)

  def embedding(self) -> jax.Array:
    """Returns the table `[V, E]`; nothing is dropped."""
    return self._table()

  @hk.transparent
  def _table(self) -> jax.Array:
    return hk.get_parameter(
        "embeddings", self._shape, jnp.result_type(float), _INIT)

  @hk.transparent
  def _word_scale(self, dtype: Any) -> jax.Array | None:
    """Returns what the words are multiplied with, `[V, 1]`; None for nothing.
    """
    key = shared_key(self._word_dropout)
    return None if key is None else word_dropout(
        key, jnp.ones([self._shape[0], 1], dtype), self._word_dropout)


def _check_integers(inputs: jax.Array) -> None:
  if not jnp.issubdtype(inputs.dtype, jnp.integer):
    raise ValueError("the encoder 'tokens' takes integer tokens, got inputs "
                     f"of type {inputs.dtype}; with make_model, pass "
                     "input_size=None, and a task of tokens")
