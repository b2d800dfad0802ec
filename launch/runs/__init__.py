"""One run: its folder, its records, its checkpoints, and its training loop."""

from launch.runs.evaluation import Trained, load
from launch.runs.run import Run

__all__ = ["Run", "Trained", "load"]
