"""Data efficiency of SAM: Figure 2 of Rae et al. 2016 (arXiv 1610.09027)."""

from launch.experiments.merging import Preset, merge


def sam_copy() -> Preset:
  """Copies sequences of 1 to 20 vectors, on two CPU cores in minutes.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 2.
  Data: none.

  Notes:
    One head is enough, since the core has to remember one word a step. The
    paper gives neither the number of slots nor the word size.
  """
  return dict(
      task="copy",
      core="sam",
      core_args={
          "sam": dict(hidden_size=100, num_slots=64, num_heads=1, top_k=4),
          "lstm": dict(hidden_size=100),
      },
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=2e-3)},
      schedule="cosine",
      steps=4_000,
      eval_every=250,
      batch_size=16,
  )


def sam_associative_recall() -> Preset:
  """Recalls the value of a key among 3 to 6 pairs, on two CPU cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 2.
  Data: none.

  Notes:
    `sam_copy` lists what the paper leaves open.
  """
  return merge(sam_copy(), dict(
      task="associative_recall", steps=8_000, eval_every=500))


def sam_priority_sort() -> Preset:
  """Sorts 16 of 20 vectors by priority, on two CPU cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 2.
  Data: none.

  Notes:
    `sam_copy` lists what the paper leaves open.
  """
  return merge(sam_copy(), dict(
      task="priority_sort",
      core_args={"sam": dict(num_slots=128, num_heads=2)},
      steps=10_000,
      eval_every=625,
  ))


def sam_copy_paper() -> Preset:
  """Copies sequences of 1 to 20 vectors at the paper's size and rate.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 2 and supplement C.
  Data: none.

  Notes:
    Cores, heads, top-k, batch and learning rate are the paper's. The paper
    trained with eight asynchronous workers; here one process does all updates.
    The paper gives neither the number of slots, nor the word size, nor the
    number of updates, nor a clipping of gradients: 128 slots, words of 32 and
    1,000,000 updates are choices made here.
  """
  memory = dict(hidden_size=100, num_slots=128, num_heads=4)
  return dict(
      task="copy",
      core="sam",
      core_args={
          "sam": dict(memory, top_k=4),
          "ntm": memory,
          "dam": memory,
          "lstm": dict(hidden_size=100),
      },
      optimizer="rmsprop",
      optimizer_args={"rmsprop": dict(learning_rate=1e-5)},
      steps=1_000_000,
      eval_every=10_000,
      checkpoint_every=10_000,
      batch_size=8,
  )


def sam_associative_recall_paper() -> Preset:
  """Recalls the value of a key among 3 to 6 pairs at the paper's size.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 2 and supplement C.
  Data: none.

  Notes:
    `sam_copy_paper` lists what the paper leaves open.
  """
  return merge(sam_copy_paper(), dict(task="associative_recall"))


def sam_priority_sort_paper() -> Preset:
  """Sorts 16 of 20 vectors by priority at the paper's size.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 2 and supplement C.
  Data: none.

  Notes:
    `sam_copy_paper` lists what the paper leaves open.
  """
  return merge(sam_copy_paper(), dict(task="priority_sort"))
