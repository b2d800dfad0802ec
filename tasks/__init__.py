"""The tasks, by name. This package knows arrays and keys, but no networks."""

from tasks.arithmetic.arithmetic import Arithmetic
from tasks.arithmetic.identity import Identity
from tasks.arithmetic.recurrent_arithmetic import RecurrentArithmetic
from tasks.babi.babi import Babi
from tasks.babi.catbabi import CatBabi
from tasks.base import (
    Corpus,
    Countable,
    Environment,
    Episodes,
    Levelled,
    Observation,
    Readable,
    Stream,
    Symbolic,
    Task,
    TimeStep,
    Trainable,
    Transcribable,
)
from tasks.batch import Batch
from tasks.environments.adapters.gymnax_adapter import GymnaxTask
from tasks.environments.boxworld.boxworld import BoxWorld
from tasks.environments.minipacman.minipacman import MiniPacman
from tasks.environments.time_tracking import TimeTracking
from tasks.language.language_numbers import LanguageNumbers
from tasks.mnist.addition import MnistAddition
from tasks.mnist.counting import MnistCounting
from tasks.mnist.parity import MnistParity
from tasks.mnist.sequences import MnistSequenceProduct, MnistSequenceSum
from tasks.omniglot.omniglot import Omniglot
from tasks.programs.learning_to_execute import LearningToExecute
from tasks.programs.program_evaluation import ProgramEvaluation
from tasks.scores import (
    Bits,
    Classes,
    Measure,
    Regression,
    Returns,
    Score,
    Tokens,
)
from tasks.stream import num_windows, row_length
from tasks.synthetic.associative_recall import AssociativeRecall
from tasks.synthetic.copy import Copy
from tasks.synthetic.nth_farthest import NthFarthest
from tasks.synthetic.priority_sort import PrioritySort
from tasks.text.text import Text

#: Name -> task.
TASKS: dict[str, type[Task]] = {
    "arithmetic": Arithmetic,
    "associative_recall": AssociativeRecall,
    "babi": Babi,
    "boxworld": BoxWorld,
    "catbabi": CatBabi,
    "copy": Copy,
    "gymnax": GymnaxTask,
    "identity": Identity,
    "language_numbers": LanguageNumbers,
    "learning_to_execute": LearningToExecute,
    "minipacman": MiniPacman,
    "mnist_addition": MnistAddition,
    "mnist_counting": MnistCounting,
    "mnist_parity": MnistParity,
    "mnist_sequence_product": MnistSequenceProduct,
    "mnist_sequence_sum": MnistSequenceSum,
    "nth_farthest": NthFarthest,
    "omniglot": Omniglot,
    "priority_sort": PrioritySort,
    "program_evaluation": ProgramEvaluation,
    "recurrent_arithmetic": RecurrentArithmetic,
    "text": Text,
    "time_tracking": TimeTracking,
}

__all__ = (
    "TASKS", "Arithmetic", "AssociativeRecall", "Babi", "Batch", "Bits",
    "BoxWorld", "CatBabi", "Classes", "Copy", "Corpus", "Countable",
    "Environment", "Episodes", "GymnaxTask", "Identity", "LanguageNumbers",
    "LearningToExecute", "Levelled", "Measure", "MiniPacman", "MnistAddition",
    "MnistCounting", "MnistParity", "MnistSequenceProduct", "MnistSequenceSum",
    "NthFarthest", "Observation", "Omniglot", "PrioritySort",
    "ProgramEvaluation", "Readable", "RecurrentArithmetic", "Regression",
    "Returns", "Score", "Stream", "Symbolic", "Task", "Text", "TimeStep",
    "TimeTracking", "Tokens", "Trainable", "Transcribable", "num_windows",
    "row_length")
