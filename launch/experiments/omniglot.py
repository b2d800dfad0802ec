"""One-shot learning of characters: section 4.5 of Rae et al. 2016."""

from launch.experiments.merging import Preset, merge


def sam_omniglot() -> Preset:
  """Names 2 to 5 new characters an episode, small images, for two CPU cores.

  Paper: Rae et al. 2016, arXiv 1610.09027, section 4.5.
  Data: Omniglot (`images_background.zip`, `images_evaluation.zip`).

  Notes:
    Images have 14 x 14 pixels. The paper trains up to about 130 characters
    with a curriculum, and gives no sizes. Few characters can be named by the
    controller alone. A curriculum that starts with them may never teach a core
    to address its memory; --core.output_from=reads lets the output depend on
    the words read alone.
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
