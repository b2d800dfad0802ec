"""Lists what waits for a GPU or TPU, in order of value."""

from collections.abc import Mapping, Sequence

from launch.evidence.experiment import Experiment
from launch.evidence.runner import Job

# (experiment, piece, scale, minutes).
PLAN: Sequence[tuple[str, str, str, float]] = ()


def jobs(experiments: Mapping[str, Experiment], tiny: bool = False
         ) -> list[Job]:
  """Returns the jobs of the plan.

  Args:
    experiments: the catalogue.
    tiny: whether to rehearse them, at tiny sizes.
  """
  return [Job(experiments[name], experiments[name].piece(piece),
              "tiny" if tiny else scale, minutes)
          for name, piece, scale, minutes in PLAN]
