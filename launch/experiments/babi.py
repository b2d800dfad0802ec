"""Questions about stories: section 4.4 of Rae et al. 2016 (1610.09027)."""

from launch.experiments.merging import Preset


def babi_1() -> Preset:
  """Answers where a person is, task 1 of bAbI alone, in minutes on two cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, Tables 1 and 2.
  Data: bAbI (`en-10k` of `tasks_1-20_v1-2.tar.gz`).

  Notes:
    The paper trains on all tasks jointly, see `babi`. Nearly any network soon
    gets half of the answers right, by naming a place mentioned last. The
    learning rate, the batch and the number of heads decide whether it leaves
    this plateau before it has memorised the stories.
  """
  memory = dict(hidden_size=100, num_slots=128, num_heads=1)
  return dict(
      task="babi",
      task_args={"babi": dict(tasks="1")},
      core="sam",
      core_args={
          "sam": dict(memory, top_k=4),
          "sdnc": dict(memory, top_k=4),
          "dam": memory,
          "dnc": memory,
          "ntm": memory,
          "lstm": dict(hidden_size=256),
      },
      encoder="none",
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=4e-3)},
      max_grad_norm=1.0,
      steps=4_000,
      eval_every=250,
      eval_episodes=200,
      batch_size=32,
  )
