"""One run: its folder, its records, its checkpoints, and its training loop."""

from launch.runs.loading import Trained, load
from launch.runs.run import Run

__all__ = ["Run", "Trained", "load"]
