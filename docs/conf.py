"""Configuration of the documentation; see docs/README.md."""

import pathlib
import re
import shutil
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rmc_nalu_sam  # noqa: E402

project = "rmc_nalu_sam"
author = "The rmc_nalu_sam authors"
release = version = rmc_nalu_sam.__version__
copyright = "the rmc_nalu_sam authors"
repository = re.search(
    r"^repository-code: *(\S+)", (ROOT / "CITATION.cff").read_text(),
    re.MULTILINE)[1]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build", "README.md"]

# Sphinx reads files of this folder only.
shutil.copytree(ROOT / "notebooks", ROOT / "docs" / "notebooks",
                ignore=shutil.ignore_patterns("*.py", ".*"), dirs_exist_ok=True)

# Markdown.
myst_enable_extensions = ["colon_fence", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
# The outputs stored in notebooks are shown; tests execute them.
nb_execution_mode = "off"

# Docstrings. A name in single backticks is a link where it has a page.
default_role = "py:obj"
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_include_init_with_doc = False
napoleon_use_ivar = True
napoleon_use_rtype = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Pages.
html_theme = "furo"
html_title = "rmc_nalu_sam"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme_options = {
    "source_repository": repository,
    "source_branch": "main",
    "source_directory": "docs/",
}


def _skip(app, what, name, obj, skip, options):
  """Leaves out fields that the docstring of their class lists already."""
  del app, what, name, options
  if type(obj).__name__ == "_tuplegetter":  # A field of a NamedTuple.
    return True
  return skip


def setup(app):
  """Connects the functions of this file."""
  app.connect("autodoc-skip-member", _skip)
