"""Language to number: section 4.3 of Trask et al. 2018 (arXiv 1808.00508)."""

from launch.experiments.merging import Preset, merge


def language_numbers() -> Preset:
  """Reads numbers in words, such as "two hundred and five".

  Paper: Trask et al. 2018, arXiv 1808.00508, section 4.3, Table 3.
  Data: none.

  Notes:
    An embedding of 256, an LSTM of 10 and a unit as the read-out: the authors'
    own recollection, as told by Madsen and Johansen (2019, arXiv 1910.01888).
    Compare --unit=linear, --unit=nac and --unit=nalu. The paper publishes
    nothing of the training but the errors. An evaluation visits each string of
    a split once. Gradients are clipped to norm 1.

    The weights of a NAC and the outputs of an LSTM are below 1, so that a NAC
    behind 10 of them stays below 10: see `language_numbers_paper`.

    --core=unit_sum has no LSTM: it adds up a NALU over pairs of words, whose
    embeddings have 8 numbers.
  """
  return dict(
      task="language_numbers",
      core="lstm",
      core_args={"lstm": dict(hidden_size=10),
                 "unit_sum": dict(hidden_size=8)},
      core_settings={"unit_sum": dict(encoder="none")},
      unit="nalu",
      encoder_args={"embed": dict(output_size=256)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-2)},
      schedule="cosine",
      steps=20_000,
      batch_size=64,
      eval_every=1_000,
  )


def language_numbers_paper() -> Preset:
  """Reads numbers in words, with 1,024 units of an LSTM in front of a NAC.

  Paper: Trask et al. 2018, arXiv 1808.00508, section 4.3, Table 3.
  Data: none.

  Notes:
    As `language_numbers`, but the LSTM in front of a NAC has 1,024 units: a
    NAC behind 10 outputs stays below 10, so the NAC of the paper's table cannot
    have been of that size.
  """
  return merge(language_numbers(), dict(
      unit_settings={"nac": dict(core_args={"lstm": dict(hidden_size=1024)})}))
