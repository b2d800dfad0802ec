"""One-shot Omniglot (Rae et al. 2016, arXiv 1610.09027, section 4.5), small.

Two to five characters an episode, and images of 14 x 14 pixels: for two cores.
The paper trains up to some 130 characters with a curriculum, and gives no
sizes; for images as in Santoro et al. 2016 (1605.06065), and longer:
--task.image_size=20 --task.min_classes=5 --steps=100000.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "omniglot"
  config.task_args = {"omniglot": dict(
      num_classes=5, min_classes=2, image_size=14)}
  config.core = "sam"
  config.core_args = {
      "sam": dict(hidden_size=100, num_slots=128, num_heads=2, top_k=4),
      "lstm": dict(hidden_size=100),
  }
  config.steps = 12_000
  config.eval_every = 500
  config.batch_size = 16
  config.learning_rate = 2e-3
  config.lr_schedule = "cosine"
  return config
