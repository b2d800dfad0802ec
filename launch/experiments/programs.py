"""Programs: section 4.4 of Trask et al. 2018 (arXiv 1808.00508), and section
4.2 of Santoro et al. 2018 (arXiv 1806.01822).
"""

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


def learning_to_execute() -> Preset:
  """Executes programs with numbers of 1 or 2 digits, for two CPU cores.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2.
  Data: none.

  Notes:
    --task.operation is one of addition, control, program, copy, reverse,
    double. Programs are not nested, and gradients are clipped to norm 1.
    Narrower slots learn later: see RESULTS.md. The paper's size is
    `learning_to_execute_paper`.
  """
  return dict(
      task="learning_to_execute",
      task_args={"learning_to_execute": dict(
          operation="addition", max_length=2, max_nesting=1)},
      core="rmc",
      core_args={
          "rmc": dict(num_slots=2, head_size=64, num_heads=4,
                      gate_style="memory"),
          "lstm": dict(hidden_size=256, num_layers=2),
          "dnc": dict(hidden_size=128, num_layers=2, num_slots=32,
                      word_size=32, num_read_heads=1),
          "sam": dict(hidden_size=128, num_slots=64, num_heads=2, top_k=4),
      },
      unit="mlp",
      unit_args={"mlp": dict(hidden_size=256, num_layers=4)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      steps=20_000,
      eval_every=1_000,
      eval_episodes=2048,
      batch_size=64,
  )


def learning_to_execute_paper() -> Preset:
  """Executes programs with numbers of 1 to 5 digits, nested twice: Table 1.

  Paper: Santoro et al. 2018, arXiv 1806.01822, section 4.2, Table 1.
  Data: none.

  Notes:
    --task.operation is one of addition, control, program, copy, reverse,
    double. The paper reports the highest `hardest/character_accuracy` of the
    evaluations in metrics.jsonl (`launch.plot` prints and draws it with
    --metric=hardest/character_accuracy). Its LSTM had 1,024 or 2,048 units, its
    DNC a controller of 128, 256 or 512. For memorising, its DNC had a
    controller without a state: --core=dnc --core.controller=feedforward. The
    released code also lowers the learning rate, from 1e-4 to no less than 8e-5.
  """
  small = learning_to_execute()
  del small["core_args"]["sam"]  # Not in the paper.
  return merge(small, dict(
      task_args={"learning_to_execute": dict(max_length=5, max_nesting=2)},
      core_args={
          "rmc": dict(num_slots=4, num_heads=4, head_size=64),
          "lstm": dict(hidden_size=1024),
          "dnc": dict(num_slots=80, word_size=64, num_read_heads=4,
                      hidden_size=256),
      },
      max_grad_norm=0.,
      batch_size=128,
      steps=200_000,
      eval_episodes=12_800,
  ))
