"""Curricula of growing length: Figure 3 of Rae et al. 2016 (1610.09027).

A network that solves the low levels by its controller alone never learns to
address its memory; see `launch.learning.curriculum`.
"""

from launch.experiments.merging import Preset, merge

# Of runs that end by --max_minutes, at a record.
LONG = dict(steps=1_000_000, batch_size=16, log_every=10, eval_every=10_000,
            eval_episodes=64, checkpoint_every=500)


def curriculum_copy() -> Preset:
  """Copies ever longer sequences, with a memory that two CPU cores can hold.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 3.
  Data: none.

  Notes:
    The paper compares the levels that cores reach in the same wall time: set
    --max_minutes for all of them. It gives neither the threshold nor the
    patience of the curriculum. Heads, batch and learning rate are those of
    `sam_copy`. Records are close together, because a run ends, and an
    interrupted run stops, only at a record. Evaluations are rare, because each
    one starts in an empty memory, and creating one of two million words takes
    seconds. The tables of the index 'lsh' are more and larger than by default:
    with the defaults, what it misses of hundreds of pairs costs more than all
    that is left to learn.

    A core that solves the low levels by its controller alone never learns to
    address its memory. So the first level is 16, not 1 as in the paper. If a
    run stops at a low level, start higher, or let the output depend on the
    words read alone (--core.output_from=reads).
  """
  return dict(
      task="copy",
      core="sam",
      core_args={
          "sam": dict(hidden_size=100, num_slots=4096, num_heads=1, top_k=4),
          "ntm": dict(hidden_size=100, num_slots=64, num_heads=1),
          "dam": dict(hidden_size=100, num_slots=64, num_heads=1),
          "lstm": dict(hidden_size=100),
      },
      index_args={"lsh": dict(num_tables=16, min_bits=10, num_turned=2)},
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=2e-3)},
      curriculum="exponential",
      curriculum_args={"exponential": dict(start=16, max_level=2**16)},
      **LONG,
  )


def curriculum_associative_recall() -> Preset:
  """Recalls among ever more pairs, with a memory that two CPU cores can hold.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 3.
  Data: none.

  Notes:
    Everything but the task and the first level, 4, is as in `curriculum_copy`.
    At one and two pairs, the controller can keep everything in its own state,
    and then never learns to address its memory.
  """
  return merge(curriculum_copy(), dict(
      task="associative_recall", curriculum_args=_start(4)))


def curriculum_priority_sort() -> Preset:
  """Sorts ever more vectors, with a memory that two CPU cores can hold.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 3.
  Data: none.

  Notes:
    Two heads, as in `sam_priority_sort`, and the first level is 1; everything
    else but the task is as in `curriculum_copy`, also what to do if a run stops
    at a low level.
  """
  heads = dict(num_heads=2)
  return merge(curriculum_copy(), dict(
      task="priority_sort", curriculum_args=_start(1),
      core_args={"sam": heads, "ntm": heads, "dam": heads}))


def curriculum_copy_paper() -> Preset:
  """Copies ever longer sequences, SAM with two million slots.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 3.
  Data: none.

  Notes:
    The paper gives NTM and DAM 64 slots and SAM two million, so that all take
    about the same memory. SAM searches by hashing and reuses its memory;
    --core.index=exact is the paper's exact variant. `curriculum_copy` lists
    what the paper leaves open, and what to do if a run stops at a low level.
  """
  return merge(curriculum_copy(), _TWO_MILLION)


def curriculum_associative_recall_paper() -> Preset:
  """Recalls among ever more pairs, SAM with two million slots.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 3.
  Data: none.

  Notes:
    Everything but the task is as in `curriculum_copy_paper`.
  """
  return merge(curriculum_associative_recall(), _TWO_MILLION)


def curriculum_associative_recall_wide() -> Preset:
  """Recalls values of 96 bits, of which guessing gets 48 wrong.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 8 and supplement F.
  Data: none.

  Notes:
    The paper gives 48 bits as the level of chance, and no size of an item:
    three vectors of 32 bits are a choice made here. Everything else is as in
    `curriculum_associative_recall_paper`, but the curriculum ends at 10,000
    pairs, as in the paper.
  """
  return merge(curriculum_associative_recall_paper(), dict(
      task_args={"associative_recall": dict(num_bits=32, item_length=3)},
      curriculum_args={"exponential": dict(max_level=10_000)}))


def curriculum_priority_sort_paper() -> Preset:
  """Sorts ever more vectors, SAM with two million slots.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 3.
  Data: none.

  Notes:
    Everything but task and heads is as in `curriculum_copy_paper`.
  """
  return merge(curriculum_priority_sort(), _TWO_MILLION)


def _start(level: int) -> Preset:
  return {"exponential": dict(start=level)}


# Only SAM has an index, and only SAM can reuse its memory.
_TWO_MILLION = dict(
    core_args={"sam": dict(num_slots=2_000_000, index="lsh")},
    core_settings={"sam": dict(reuse_memory=True)})
