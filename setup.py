"""Package definition."""

import setuptools

_NOTEBOOKS = ("ipykernel>=6.29", "jupyterlab>=4.4")

_TEST = (
    "mypy>=1.18",
    "nbclient>=0.10",
    "pytest>=8.4",
    "pytest-xdist>=3.8",
    "ruff>=0.14",
)

setuptools.setup(
    name="rmc_nalu_sam",
    version="0.1.0",
    description="Memory, relational and arithmetic networks for JAX and Haiku",
    long_description=open("README.md", encoding="utf-8").read(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # Modules as general as `tasks` and `launch` are run from a checkout, or an
    # editable install, and not put into other people's site-packages.
    packages=setuptools.find_packages(include=["rmc_nalu_sam*"]),
    package_data={"rmc_nalu_sam": ["py.typed"]},
    install_requires=[
        "absl-py>=2.3",
        "array_record>=0.8",
        "chex>=0.1.91",
        "dm-haiku>=0.0.16",
        # tensorflow-datasets needs it, and does not say so.
        "importlib_resources>=6.5",
        "jax>=0.10",
        "matplotlib>=3.10",
        "ml_collections>=1.1",
        "numpy>=2.0",
        "optax>=0.2.6",
        "orbax-checkpoint>=0.11.30",
        "pillow>=11.0",
        "tensorboardX>=2.6.4",
        "tensorflow-datasets>=4.9.9",
        "tqdm>=4.67",
    ],
    extras_require={
        "gpu": ["jax[cuda13]>=0.10"],
        "notebooks": _NOTEBOOKS,
        "test": [*_NOTEBOOKS, *_TEST],
    },
)
