"""One run: its folder, its records, its checkpoints, and its training loop."""

from launch.runs.run import Run
from launch.runs.trained.loading import Trained, load

__all__ = ["Run", "Trained", "load"]
