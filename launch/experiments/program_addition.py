"""Addition of two integers (Trask et al. 2018, arXiv 1808.00508, section 4.4).

The paper's Supplementary Figure 6: trained below 100, evaluated with three and
four digits. It gives neither sizes nor a learning rate; gradients are clipped
to norm 1. Compare --core=controlled_nalu, --core=ugrnn, --core=lstm and
--core=dnc.
"""

import ml_collections

from launch import config as config_lib


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = config_lib.default_config()
  config.task = "program_evaluation"
  config.task_args = {"program_evaluation": dict(
      program="addition", max_operations=1)}
  config.core = "controlled_nalu"
  config.core_args = {
      # The first input is the value, and the others say what it is.
      "controlled_nalu": dict(hidden_size=32, num_registers=8, num_values=1),
      "dnc": dict(hidden_size=100, num_slots=16, word_size=16,
                  num_read_heads=1),
      "lstm": dict(hidden_size=100),
      "ugrnn": dict(hidden_size=100),
  }
  config.steps = 20_000
  config.batch_size = 64
  config.learning_rate = 3e-3
  config.lr_schedule = "cosine"
  config.eval_every = 1_000
  config.eval_episodes = 1_024
  return config
