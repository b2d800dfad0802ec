"""Package definition.

Every lower bound is tested: `.ci/lowest.txt` holds all of them, and `.ci/legs`
runs tests with them. `.ci/lowest` writes that file.
"""

import pathlib
import re

import setuptools

HERE = pathlib.Path(__file__).parent
URL = re.search(r"^repository-code: (\S+)$",
                (HERE / "CITATION.cff").read_text("utf-8"), re.MULTILINE)[1]

# What the programs of a checkout need beside the library.
_TRAIN = (
    "absl-py>=2.1.0",
    # Has no wheels for Windows. Only prepared data sets need it.
    "array_record>=0.5.1; platform_system != 'Windows'",
    "docstring_parser>=0.15",
    "filelock>=3.14.0",
    # tensorflow-datasets needs it, and does not say so.
    "importlib_resources>=6.0.0",
    "matplotlib>=3.8.4",
    "ml_collections>=0.1.1",
    "optax>=0.2.5",
    "orbax-checkpoint>=0.11.18",
    "pillow>=10.0.0",
    "scipy>=1.13.0",
    "tensorboardX>=2.6.2.2",
    # Reads descriptions with protobuf 7 from this version on.
    "tensorflow-datasets>=4.9.10",
    "tqdm>=4.60.0",
)
_ENVIRONMENTS = ("dm-env>=1.6", "gymnasium>=1.0.0")
# Builds the pages of docs/, on Python 3.11 and later.
_DOCS = (*_ENVIRONMENTS, "furo>=2025.9.25", "myst-nb>=1.3.0", "sphinx>=8.2",
         "sphinx-copybutton>=0.5.2", "sphinx_design>=0.6.1")
_TOKENIZERS = ("tokenizers>=0.20.0",)
# Linter, type checker and audit are no tests; see `.ci/tools.lock`.
_TEST = (
    *_ENVIRONMENTS,
    *_TOKENIZERS,
    "hypothesis>=6.80.0",
    "import-linter>=2.17",
    "ipykernel>=6.29.0",
    "nbclient>=0.10.0",
    "pytest>=8.0.0",
    "pytest-xdist>=3.5.0",
)


def _long_description() -> str:
  """Returns README.md with absolute links; a package index has no files."""
  def absolute(link):
    is_picture = link[1].endswith((".gif", ".png", ".svg"))
    return f"]({URL}/{'raw' if is_picture else 'blob'}/main/{link[1]})"

  return re.sub(r"\]\((?![a-z]+:|#)([^)]+)\)", absolute,
                (HERE / "README.md").read_text("utf-8"))


setuptools.setup(
    name="rmc_nalu_sam",
    version="0.1.0",
    description="Memory, relational and arithmetic networks for JAX and Haiku",
    long_description=_long_description(),
    long_description_content_type="text/markdown",
    author="The rmc_nalu_sam authors",
    url=URL,
    project_urls={
        "Changelog": f"{URL}/blob/main/CHANGELOG.md",
        "Results": f"{URL}/blob/main/RESULTS.md",
    },
    license="Apache-2.0",
    keywords="jax haiku memory-augmented neural-networks NTM DNC SAM RMC NALU",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    # Modules as general as `tasks` and `launch` are run in the folder of a
    # checkout, and not put into other people's site-packages.
    packages=setuptools.find_packages(include=["rmc_nalu_sam*"]),
    # With it, an editable install is a line in a .pth file. Type checkers
    # follow that, and do not follow the import hook that is the default.
    package_dir={"": "."},
    package_data={"rmc_nalu_sam": ["py.typed", "pretrained/*"]},
    install_requires=[
        "chex>=0.1.88",
        "dm-haiku>=0.0.15",
        "jax>=0.7.0",
        "jmp>=0.0.4",
        "numpy>=2.0.2",
    ],
    extras_require={
        "benchmark": [*_TRAIN, "torch>=2.13.0"],  # To compare with.
        "docs": [*_TRAIN, *_DOCS],
        # Wrap our environments for other libraries' agents.
        "environments": [*_TRAIN, *_ENVIRONMENTS],
        "gpu": [*_TRAIN, "jax[cuda13]>=0.7.2"],
        "notebooks": [*_TRAIN, "ipykernel>=6.29.0", "jupyterlab>=4.0"],
        # The older name of `train`, for version 0.1 alone.
        "programs": _TRAIN,
        "tensorboard": [*_TRAIN, "tensorboard>=2.18"],
        # Reads tokenizer.json for --task.tokens=FILE.
        "tokenizers": [*_TRAIN, *_TOKENIZERS],
        "test": [*_TRAIN, *_TEST],
        "train": _TRAIN,
    },
)
