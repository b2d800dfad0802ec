"""Sparse Differentiable Neural Computer.

"Scaling Memory-Augmented Neural Networks with Sparse Reads and Writes", Rae,
Hunt, Harley, Danihelka, Senior, Wayne, Graves, Lillicrap, 2016, arXiv
1610.09027: supplement D.
"""

import haiku as hk

from rmc_nalu_sam.checks import check_positive
from rmc_nalu_sam.memory import search
from rmc_nalu_sam.sam import SAM


class SDNC(SAM):
  r"""A Sparse Access Memory that also reads on from what it read last.

  Writes, and reads by content, are those of `SAM`. Beside them stand the DNC's
  temporal links, kept sparse: of each row the :math:`K_L` rows written before
  it, and after it, that count most. A head reads

  .. math::

    w^R_t = \pi_1 b_t + \pi_2 c_t + \pi_3 f_t,

  with :math:`c_t` the sparse content weights, :math:`b_t` and :math:`f_t` the
  weights of its last read moved back and on along the links, and :math:`\pi` a
  softmax that the controller gives. There is no allocation and there are no
  free gates: rows are taken by their last access, as in SAM.

  See `rmc_nalu_sam.memory.sparse_links` for the equations of the links, and
  `SAM` for the rest.

  Notes:
    Where the paper leaves something open, here

    - each head has links of its own, for its own writes, and follows them;
    - the K largest of each of :math:`b_t`, :math:`c_t` and :math:`f_t` are
      read, and the K largest of their sum go on into the next write and the
      usage;
    - no gradient flows through the links; it does through the read weights that
      are moved along them;
    - an entry of the links after a row decays only while the same link is known
      from the other end, in the links before.
  """

  def __init__(
      self,
      hidden_size: int = 100,
      num_slots: int = 128,
      word_size: int = 32,
      num_heads: int = 4,
      top_k: int = 4,
      num_links: int = 8,
      output_size: int | None = None,
      index: str | search.Index = "exact",
      gradient_steps: int | None = None,
      recompute: bool = True,
      measure_recall: bool = False,
      delta: float = 0.005,
      write_bias: float = 1.0,
      interpolation_bias: float = -2.0,
      strength_bias: float = 3.0,
      controller: hk.RNNCore | None = None,
      name: str | None = None,
  ):
    """Constructs an SDNC.

    Args:
      hidden_size: this and all but `num_links` as in `SAM`.
      num_slots: N.
      word_size: W.
      num_heads: H.
      top_k: K.
      num_links: K_L, how many links of a row are kept, in each direction.
      output_size: of the output.
      index: how to find rows.
      gradient_steps: how far back gradients reach.
      recompute: whether less is kept for the backward pass.
      measure_recall: whether the state counts what the index finds.
      delta: of the usage.
      write_bias: of the write gates.
      interpolation_bias: of the interpolation gates.
      strength_bias: of the key strengths.
      controller: in place of the LSTM.
      name: name of the module.

    Raises:
      ValueError: as `SAM`, or `num_links` is not positive.
    """
    super().__init__(
        hidden_size=hidden_size, num_slots=num_slots, word_size=word_size,
        num_heads=num_heads, top_k=top_k, output_size=output_size, index=index,
        gradient_steps=gradient_steps, recompute=recompute,
        measure_recall=measure_recall, delta=delta, write_bias=write_bias,
        interpolation_bias=interpolation_bias, strength_bias=strength_bias,
        controller=controller, name=name)
    check_positive(num_links=num_links)
    self._num_links = num_links
