"""What waits for a GPU or TPU, in order of value.

The first twelve minutes fill the most important empty cells. A second visit
goes on where the first one ended.
"""

from collections.abc import Mapping
from typing import NamedTuple

from launch.evidence.experiment import Experiment
from launch.evidence.runner import Job


class Visit(NamedTuple):
  """Represents a run on an accelerator.

  Attributes:
    experiment: its name.
    piece: name of the run within the experiment.
    scale: one of `SCALES`.
    minutes: that it may take.
  """

  experiment: str
  piece: str
  scale: str
  minutes: float


PLAN: tuple[Visit, ...] = (
    Visit("rmc_speed", "gpu", "paper", 2.5),
    Visit("sam_figure1", "gpu", "paper", 2.5),
    Visit("rmc_nth_farthest", "rmc", "paper", 2),
    Visit("rmc_nth_farthest", "lstm", "paper", 1),
    Visit("rmc_table1", "rmc_program", "paper", 2),
    Visit("rmc_table1", "lstm_program", "paper", 1),
    Visit("nau_nmu_add", "nau", "paper", 1),
    *(Visit("rmc_minipacman", f"viewport_{core}", "paper", 2)
      for core in ("rmc", "lstm")),
    *(Visit("rmc_boxworld", f"{core}_paper", "paper", 2)
      for core in ("rmc", "lstm")),
    Visit("language_speed", "gpu", "paper", 2),
    *(Visit("rmc_table1", f"{core}_{operation}", "paper", 1)
      for operation in ("control", "addition", "copy", "reverse", "double")
      for core in ("rmc", "lstm")),
    *(Visit(experiment, "dnc" + suffix, "paper", 1)
      for experiment, suffix in (("rmc_nth_farthest", ""),
                                 ("rmc_table1", "_program"))),
)


def jobs(experiments: Mapping[str, Experiment], tiny: bool = False
         ) -> list[Job]:
  """Returns the jobs of the plan, in order.

  Args:
    experiments: the catalogue.
    tiny: whether to rehearse them, at tiny sizes.
  """
  return [Job(experiments[visit.experiment],
              experiments[visit.experiment].piece(visit.piece),
              "tiny" if tiny else visit.scale, visit.minutes)
          for visit in PLAN]
