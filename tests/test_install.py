"""What setup.py declares, and what .ci/legs tests of it.

.ci/legs itself makes environments, which takes minutes, so .ci/run runs it.
"""

import re
import runpy
import tomllib

from launch_helpers import ROOT

LOWEST = runpy.run_path(str(ROOT / ".ci" / "lowest"))
SETUP = LOWEST["setup_arguments"]()
EXTRAS = SETUP["extras_require"]

# Packages whose module has another name.
MODULES = {"absl-py": "absl", "orbax-checkpoint": "orbax", "pillow": "PIL",
           "tensorflow-datasets": "tensorflow_datasets"}


def names(requirements):
  return {re.match(r"[\w-]+", each)[0] for each in requirements}


def test_lowest_versions_are_those_of_setup():
  """`.ci/lowest > .ci/lowest.txt` after a change of a bound."""
  assert (ROOT / ".ci" / "lowest.txt").read_text() == LOWEST["lowest"]()
  assert "jax==" in LOWEST["lowest"]()


def test_every_dependency_has_a_lower_bound():
  every = [*SETUP["install_requires"],
           *(each for extra in EXTRAS.values() for each in extra)]
  assert len(every) > 50
  assert [each for each in every if not re.match(
      r"[\w\[\]-]+>=\d[\d.]*(; .+)?$", each)] == []


def test_one_package_has_one_lower_bound():
  every = {*SETUP["install_requires"],
           *(each for extra in EXTRAS.values() for each in extra)}
  assert len(names(every)) == len([e for e in every if "jax[" not in e])


def test_extras_hold_what_training_needs():
  for name, extra in EXTRAS.items():
    assert set(EXTRAS["train"]) <= set(extra), name
  assert EXTRAS["programs"] == EXTRAS["train"]


def test_the_library_needs_little():
  assert names(SETUP["install_requires"]) == {
      "chex", "dm-haiku", "jax", "jmp", "numpy"}


def test_the_library_may_import_nothing_of_train():
  """The contract in pyproject.toml forbids every package of the extra."""
  contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())[
      "tool"]["importlinter"]["contracts"]
  (contract,) = [each for each in contracts if "'train'" in each["name"]]
  assert set(contract["forbidden_modules"]) == {
      MODULES.get(name, name) for name in names(EXTRAS["train"])}


def test_the_long_description_has_no_relative_links():
  text = SETUP["long_description"]
  targets = [target for pattern in (
      r"\]\(([^)]*)\)", r"^\[[^\]]+\]: (.*)", r"(?:src|href)=\"(.*?)\"")
             for target in re.findall(pattern, text, re.MULTILINE)]
  assert len(targets) > 20
  assert [each for each in targets
          if not re.match(r"https://|#", each)] == []
  images = [each for each in targets if each.endswith((".png", ".gif"))]
  assert images
  assert all("/raw/main/" in each for each in images)


def test_links_lead_into_the_repository():
  url = SETUP["url"]
  readme = " ".join((ROOT / "README.md").read_text().split())
  assert f"`git clone {url}`" in readme
  paths = re.findall(re.escape(url) + r"/(?:raw|blob)/main/([^)#]+)",
                     SETUP["long_description"])
  assert len(paths) > 5
  assert [each for each in paths if not (ROOT / each).exists()] == []


def test_pythons_are_those_of_ci():
  classifiers = " ".join(SETUP["classifiers"])
  pythons = set(re.findall(r":: (3\.\d+)", classifiers))
  legs = (ROOT / ".ci" / "legs").read_text()
  assert pythons == set(re.findall(r"leg \S+ (3\.\d+) ", legs))
  assert SETUP["python_requires"] == f">={min(pythons)}"


def test_no_text_names_an_extra_that_is_not_there():
  found = {}
  for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"),
               *(ROOT / "notebooks").glob("*.ipynb"),
               *(each for folder in ("launch", "tasks", "rmc_nalu_sam")
                 for each in (ROOT / folder).rglob("*.py"))]:
    if path.name != "CHANGELOG.md":  # Tells of older names.
      for extra in re.findall(r"(?:'\.|ROOT\})\[(\w+)\]", path.read_text()):
        found.setdefault(extra, path.name)
  assert {"train", "test", "gpu"} <= set(found)
  assert set(found) <= set(EXTRAS) - {"programs"}, found


def test_the_tests_of_the_legs_exist():
  script = (ROOT / ".ci" / "leg_tests").read_text()
  files = " ".join(re.findall(r"tests\+?=\(([^)\"]+)\)", script)).split()
  assert len(files) > 15
  assert [name for name in files
          if not (ROOT / "tests" / f"test_{name}.py").exists()] == []


def test_an_sdist_holds_no_page_that_was_built():
  """.ci/legs makes one after .ci/docs has built the pages."""
  rules = (ROOT / "MANIFEST.in").read_text().splitlines()
  for folder in ("docs/_build", "docs/notebooks"):
    assert rules.index("graft docs") < rules.index(f"prune {folder}")


def test_ci_runs_the_legs():
  run = (ROOT / ".ci" / "run").read_text().splitlines()
  assert {".ci/legs", ".ci/typed .venv"} <= set(run)
