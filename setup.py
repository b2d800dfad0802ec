"""Package definition."""

import setuptools

# What the programs of a checkout need beside the library.
_PROGRAMS = (
    "absl-py>=2.5.1",
    # Has no wheels for Windows. Only prepared data sets need it.
    "array_record>=0.8.6; platform_system != 'Windows'",
    "filelock>=4.3.1",
    # tensorflow-datasets needs it, and does not say so.
    "importlib_resources>=7.1.0",
    "matplotlib>=3.11.2",
    "ml_collections>=1.1.0",
    "optax>=0.2.8",
    "orbax-checkpoint>=0.12.8",
    "pillow>=13.0.0",
    "scipy>=1.17.1",
    "tensorboardX>=2.6.5",
    "tensorflow-datasets>=4.9.10",
    "tqdm>=4.70.1",
)
_ENVIRONMENTS = ("dm-env>=1.6", "gymnasium>=1.4.0")
_TEST = (
    *_ENVIRONMENTS,
    "hypothesis>=6.170.17",
    "import-linter>=2.17",
    "ipykernel>=7.4.0",
    "mypy>=2.4.1",
    "nbclient>=0.11.0",
    "pip-audit>=2.10.1",
    "pytest>=9.2.0",
    "pytest-xdist>=3.8.0",
    "ruff>=0.17.6",
    "tokenizers>=0.23.3",
)

setuptools.setup(
    name="rmc_nalu_sam",
    version="0.1.0",
    description="Memory, relational and arithmetic networks for JAX and Haiku",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # Modules as general as `tasks` and `launch` are run in the folder of a
    # checkout, and not put into other people's site-packages.
    packages=setuptools.find_packages(include=["rmc_nalu_sam*"]),
    package_data={"rmc_nalu_sam": ["py.typed", "pretrained/*"]},
    install_requires=[
        "chex>=0.1.92",
        "dm-haiku>=0.0.17",
        "docstring_parser>=0.18.0",
        "jax>=0.10.2",
        "jmp>=0.0.4",
        "numpy>=2.4.6",
    ],
    extras_require={
        "benchmark": [*_PROGRAMS, "torch>=2.13.0"],  # To compare with.
        # Wrap our environments for other libraries' agents.
        "environments": [*_PROGRAMS, *_ENVIRONMENTS],
        "gpu": [*_PROGRAMS, "jax[cuda13]>=0.10.2"],
        "notebooks": [*_PROGRAMS, "ipykernel>=7.4.0", "jupyterlab"],
        "programs": _PROGRAMS,
        # Reads tokenizer.json for --task.tokens=FILE.
        "tokenizers": [*_PROGRAMS, "tokenizers>=0.23.3"],
        "test": [*_PROGRAMS, *_TEST],
    },
)
