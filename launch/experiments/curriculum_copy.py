"""Copy with a curriculum (Rae et al. 2016, arXiv 1610.09027, Figure 3).

The paper gives NTM and DAM 64 words and SAM two million, so that they take
about the same memory, and compares what level they have reached by wall time:
--core.num_slots=2000000 for SAM, and --max_minutes for all. It gives neither
threshold nor patience. Heads, batch and rate are those of sam_copy. The records
are close together, as the run ends, or is interrupted, only at one. Evaluations
are rare: each starts in an empty memory, and to make one of two million words
takes seconds.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "copy"
  config.core = "sam"
  config.core_args = {
      "sam": dict(hidden_size=100, num_slots=4096, num_heads=1, top_k=4),
      "ntm": dict(hidden_size=100, num_slots=64, num_heads=1),
      "dam": dict(hidden_size=100, num_slots=64, num_heads=1),
      "lstm": dict(hidden_size=100),
  }
  config.curriculum = "exponential"
  config.curriculum_max = 2**16
  config.steps = 1_000_000
  config.batch_size = 16
  config.learning_rate = 2e-3
  config.log_every = 10
  config.eval_every = 10_000
  config.eval_episodes = 64
  config.checkpoint_every = 500
  return config
