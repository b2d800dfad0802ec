"""Priority sort with a curriculum (Rae et al. 2016, 1610.09027, Figure 3).

All but task and heads is as in curriculum_copy, which says what is left open.
"""

import ml_collections

from launch.experiments import curriculum_copy


def get_config() -> ml_collections.ConfigDict:
  """The preset."""
  config = curriculum_copy.get_config()
  config.task = "priority_sort"
  for core in ("sam", "ntm", "dam"):
    config.core_args[core].num_heads = 2  # As in sam_priority_sort.
  return config
