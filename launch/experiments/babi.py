"""Questions about stories: section 4.4 of Rae et al. 2016 (1610.09027).

And stories as one text: section 4.1 of Schlag et al. 2021 (2011.07831).
"""

from launch.experiments.merging import Preset, merge


def babi_1() -> Preset:
  """Answers where a person is, task 1 of bAbI alone, in minutes on two cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, Tables 1 and 2.
  Data: bAbI (`tasks_1-20_v1-2.tar.gz`, packed or unpacked).

  Notes:
    The paper trains on all tasks jointly, see `babi`. A network soon gets half
    of the answers right, by naming a place mentioned last. The learning rate,
    the batch and the number of heads decide whether it leaves this plateau
    before it has memorised the stories. `babi` tells whose preprocessing it is.
  """
  return dict(
      task="babi",
      task_args={"babi": dict(tasks="1")},
      core="sam",
      core_args={
          "sam": dict(hidden_size=100, num_slots=128, num_heads=1, top_k=4),
          "sdnc": dict(hidden_size=100, num_slots=128, num_heads=1, top_k=4),
          "dam": dict(hidden_size=100, num_slots=128, num_heads=1),
          "dnc": dict(hidden_size=100, num_slots=128, num_read_heads=1),
          "ntm": dict(hidden_size=100, num_slots=128, num_heads=1),
          "lstm": dict(hidden_size=256),
      },
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=4e-3)},
      steps=4_000,
      eval_every=250,
      eval_episodes=256,
      batch_size=32,
  )


def babi() -> Preset:
  """Answers questions of all 20 tasks of bAbI, on two CPU cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, Tables 1 and 2.
  Data: bAbI (`tasks_1-20_v1-2.tar.gz`, packed or unpacked).

  Notes:
    Preprocessing is that of the DNC (Graves et al. 2016): lower case, '.' and
    '?' are words, each word of an answer is replaced by '-', no story is left
    out. But this preset leaves out stories of more than 256 words, also in the
    test: most of task 3, a fifth of task 5, some of 2, 7 and 8. How many
    is printed. `babi_paper` keeps all. Tasks are drawn with the same odds.
    Each evaluation takes all test stories of each task, some minutes in all.
    Sizes and rate are those of `babi_1`; the paper gives none for bAbI.
  """
  return merge(babi_1(), dict(
      task_args={"babi": dict(tasks="all", max_length=256)},
      steps=4_000,
      eval_every=2_000,
  ))


def babi_paper() -> Preset:
  """Answers questions of all 20 tasks of bAbI, with stories of any length.

  Paper: Rae et al. 2016, arXiv 1610.09027, Tables 1 and 2.
  Data: bAbI (`tasks_1-20_v1-2.tar.gz`, packed or unpacked).

  Notes:
    The paper gives neither memory sizes, nor the learning rate, nor the number
    of updates for bAbI. Memory, controller, optimiser, clipping and updates are
    those that Csordas and Schmidhuber (2019, arXiv 1904.10278) took for their
    DNC; they are for batches of 2, and here a batch is 8, as in the SAM paper's
    other experiments. Stories have up to 2,000 steps, which takes an
    accelerator. `babi` names the preprocessing.
  """
  memory = dict(hidden_size=256, num_slots=256, word_size=64)
  return merge(babi(), dict(
      task_args={"babi": dict(max_length=None)},
      core_args={
          "sam": dict(memory, num_heads=4),
          "sdnc": dict(memory, num_heads=4),
          "dam": dict(memory, num_heads=4),
          "dnc": dict(memory, num_read_heads=4),
          "ntm": dict(memory, num_heads=4),
      },
      optimizer="rmsprop",
      optimizer_args={"rmsprop": dict(learning_rate=1e-4)},
      max_grad_norm=10.0,
      steps=500_000,
      eval_every=10_000,
      batch_size=8,
  ))


def catbabi() -> Preset:
  """Reads bAbI's stories as one text and answers, on two CPU cores.

  Paper: Schlag et al. 2021, arXiv 2011.07831, Table 1.
  Data: bAbI (`tasks_1-20_v1-2.tar.gz`, packed or unpacked).

  Notes:
    The paper's accuracies, in QM mode and LM mode (`--task.mode=lm`): Fast
    Weight Memory .968 and .930, MNM-p .890 and .693, Transformer-XL .877 and
    .902, AWD-LSTM .809 and .802. These took 50,000 updates, 15 hours on a V100.
    Batch, window and optimiser are the paper's; the networks are smaller, and
    see a tenth of the updates. An evaluation reads 1.07 million words.
    `babi_1` tells why one head.
  """
  memory = dict(hidden_size=100, num_slots=128, num_heads=1)
  return dict(
      task="catbabi",
      core="sam",
      core_args={
          "sam": dict(memory, top_k=4),
          "sdnc": dict(memory, top_k=4),
          "dam": memory,
          "dnc": dict(hidden_size=100, num_slots=128, num_read_heads=1),
          "rmc": dict(num_slots=1, num_heads=2, head_size=64),
          "lstm": dict(hidden_size=256),
      },
      encoder_args={"tokens": dict(output_size=64)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=1e-3)},
      steps=5_000,
      eval_every=1_000,
      batch_size=32,
  )


def catbabi_paper() -> Preset:
  """Reads bAbI's stories as one text, with embeddings and layers of 256.

  Paper: Schlag et al. 2021, arXiv 2011.07831, Table 1.
  Data: bAbI (`tasks_1-20_v1-2.tar.gz`, packed or unpacked).

  Notes:
    Sizes of embedding and controller, batch, window, optimiser and updates are
    those of the authors' program for their Fast Weight Memory. They have no
    SAM; its memory is that of `babi_paper`. `catbabi` gives the accuracies.
  """
  memory = dict(hidden_size=256, num_slots=256, num_heads=4)
  return merge(catbabi(), dict(
      core_args={
          "sam": memory,
          "sdnc": memory,
          "dam": memory,
          "dnc": dict(hidden_size=256, num_slots=256, num_read_heads=4),
          "rmc": dict(num_slots=4, num_heads=4, head_size=64),
      },
      encoder_args={"tokens": dict(output_size=256)},
      steps=50_000,
      eval_every=2_500,
  ))
