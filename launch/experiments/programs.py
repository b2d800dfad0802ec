"""Program evaluation: section 4.4 of Trask et al. 2018 (arXiv 1808.00508)."""

from launch.experiments.merging import Preset, merge


def program_addition() -> Preset:
  """Adds two integers below 100, evaluated with three and four digits.

  Paper: Trask et al. 2018, arXiv 1808.00508, Supplementary Figure 6.
  Data: none.

  Notes:
    Compare --core=controlled_nalu, --core=ugrnn, --core=lstm and --core=dnc.
    The paper gives neither sizes nor a learning rate. Gradients are clipped to
    norm 1.
  """
  return dict(
      task="program_evaluation",
      task_args={"program_evaluation": dict(
          program="addition", max_operations=1)},
      core="controlled_nalu",
      core_args={
          # The first input is the value; the others are its kind of token.
          "controlled_nalu": dict(hidden_size=32, num_registers=8,
                                  num_values=1),
          "dnc": dict(hidden_size=100, num_slots=16, word_size=16,
                      num_read_heads=1),
          "lstm": dict(hidden_size=100),
          "ugrnn": dict(hidden_size=100),
      },
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=3e-3)},
      schedule="cosine",
      steps=20_000,
      batch_size=64,
      eval_every=1_000,
      eval_episodes=1_024,
  )


def program_full() -> Preset:
  """Evaluates programs with if, + and -, one operation inside another.

  Paper: Trask et al. 2018, arXiv 1808.00508, section 4.4, Figure 4.
  Data: none.

  Notes:
    Up to two operations: the paper shows no program and gives no number of
    operations. Everything else is as in `program_addition`.
  """
  return merge(program_addition(), dict(
      task_args={"program_evaluation": dict(
          program="full", max_operations=2)},
      steps=50_000))
