"""One-shot learning of characters: section 4.5 of Rae et al. 2016."""

from launch.experiments.curriculum import LONG
from launch.experiments.merging import Preset, merge


def sam_omniglot() -> Preset:
  """Names 2 to 5 new characters an episode, small images, for two CPU cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, section 4.5.
  Data: Omniglot (`images_background.zip`, `images_evaluation.zip`).

  Notes:
    Images have 14 x 14 pixels. The paper trains up to about 130 characters
    with a curriculum, and gives no sizes. Few characters can be named by the
    controller alone. A curriculum that starts with them may never teach a core
    to address its memory: `omniglot_curriculum` starts with more. Or let the
    output depend on the words read alone (--core.output_from=reads).
  """
  return dict(
      task="omniglot",
      task_args={"omniglot": dict(num_classes=5, min_classes=2, image_size=14)},
      core="sam",
      core_args={
          "sam": dict(hidden_size=100, num_slots=128, num_heads=2, top_k=4),
          "lstm": dict(hidden_size=100),
      },
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=2e-3)},
      schedule="cosine",
      steps=12_000,
      eval_every=500,
      batch_size=16,
  )


def sam_omniglot_paper() -> Preset:
  """Names 5 new characters an episode, images of 20 x 20 pixels.

  Paper: Rae et al. 2016, arXiv 1610.09027, section 4.5; images and number of
    characters of Santoro et al. 2016, arXiv 1605.06065, and 100,000 updates.
  Data: Omniglot (`images_background.zip`, `images_evaluation.zip`).

  Notes:
    The SAM paper gives no sizes. The sizes of the cores are those of
    `sam_omniglot`.
  """
  return merge(sam_omniglot(), dict(
      task_args={"omniglot": dict(image_size=20, min_classes=5)},
      steps=100_000))


def omniglot_curriculum() -> Preset:
  """Names ever more new characters an episode, small images, two CPU cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 4.
  Data: Omniglot (`images_background.zip`, `images_evaluation.zip`).

  Notes:
    The bound of the number of characters doubles from 4 to 100. It is judged by
    the second and later showings of a character, since the first can only be
    guessed. SAM has more slots than an episode has steps, 1,000, so it can keep
    all of them. The paper compares cores in the same wall time, which it does
    not tell: set --max_minutes for all of them. Sizes, labels, threshold and
    learning rate are our choices too.

    One or two characters can be named by the controller alone. A curriculum
    that starts with them may never teach a core to address its memory, so this
    one starts with 4. --core.output_from=reads, another output than the
    paper's, is a further help.

    Pixels go in flat, as in the paper. An encoder that sees the image as an
    image needs 16 x 16 pixels or more: --task.image_size=20 --encoder=cnn
    --encoder.num_passed=100, where the 100 numbers of the preceding step's
    label go past the encoder.
  """
  dense = dict(hidden_size=100, num_slots=128, num_heads=1)
  return dict(
      task="omniglot",
      task_args={"omniglot": dict(
          num_classes=4, min_classes=4, num_labels=100, image_size=14)},
      core="sam",
      core_args={
          "sam": dict(hidden_size=100, num_slots=1024, num_heads=1, top_k=4),
          "ntm": dense,
          "dam": dense,
          "lstm": dict(hidden_size=100),
      },
      optimizer="adam",
      optimizer_args={"adam": dict(learning_rate=4e-3)},
      curriculum="exponential",
      curriculum_args={"exponential": dict(
          start=4, threshold=0.7, max_level=100)},
      **LONG,
  )


def omniglot_curriculum_paper() -> Preset:
  """Names up to 500 new characters an episode, in 5,000 steps.

  Paper: Rae et al. 2016, arXiv 1610.09027, Figure 4.
  Data: Omniglot (`images_background.zip`, `images_evaluation.zip`).

  Notes:
    Images have 20 x 20 pixels, as those of Santoro et al. 2016. SAM has 16,384
    slots, searches by hashing and reuses its memory; --core.index=exact is the
    paper's exact variant. The paper trains up to about 130 characters and tests
    with 500. Here the curriculum may go on to 500. `omniglot_curriculum` lists
    what the paper leaves open. With the encoder that it names, pass
    --encoder.num_passed=500.
  """
  return merge(omniglot_curriculum(), dict(
      task_args={"omniglot": dict(num_labels=500, image_size=20)},
      core_args={"sam": dict(num_slots=2**14, index="lsh")},
      core_settings={"sam": dict(reuse_memory=True)},
      curriculum_args={"exponential": dict(max_level=500)},
  ))
