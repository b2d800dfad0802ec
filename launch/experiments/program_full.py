"""Programs with if, + and - (Trask et al. 2018, arXiv 1808.00508, Figure 4).

Up to two operations, one inside the other: the paper shows no program and no
number of operations. All else is as in program_addition, which says what is
left open.
"""

import ml_collections

from launch.experiments import program_addition


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = program_addition.get_config()
  config.task_args = {"program_evaluation": dict(
      program="full", max_operations=2)}
  config.steps = 50_000
  return config
