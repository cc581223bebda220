"""Sphinx builds the site from this folder: ``sphinx-build -E -W -n docs build/docs``.

The theme is sphinx-book-theme: anndata, scanpy and the template of scverse packages use it, so who
comes from there finds things where they are there. It has search, a light and a dark mode, and
works on a phone. furo would be smaller, but has no place for the links of a repository.
"""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import version as version_of
from pathlib import Path

with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
    _project = tomllib.load(file)["project"]

project = _project["name"]
author = _project["authors"][0]["name"]
copyright = author  # noqa: A001 - the name that Sphinx asks for
version = release = version_of(project)

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["**.ipynb_checkpoints"]

# ------------------------------------------------------------------- Markdown and notebooks

myst_heading_anchors = 4  # links to headings are those that GitHub makes
nb_execution_mode = "off"  # a test runs the notebooks and compares what they print
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"

# ------------------------------------------------------------------- Python

default_role = "py:obj"  # of `export` in a docstring a link, of a parameter only its name
napoleon_google_docstring = False
napoleon_use_rtype = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"

# Names of this package must be there; those of others are looked up only where there is internet.
nitpick_ignore_regex = [("py:.*", r"(?!cellucid_dask\b).*")]
nitpick_ignore = [
    ("py:class", "cellucid_dask.server.app.App"),  # what it is to callers is WSGI
    ("py:class", "cellucid_dask.server.datasets.served.ServedData"),
]
if "READTHEDOCS" in os.environ:
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "distributed": ("https://distributed.dask.org/en/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "python": ("https://docs.python.org/3/", None),
    }

# ------------------------------------------------------------------- HTML

html_theme = "sphinx_book_theme"
html_title = project
html_use_index = False  # search finds more
html_static_path = ["_static"]
html_css_files = ["site.css"]
smartquotes = False  # would turn --help into a dash and a word
html_theme_options = {
    "path_to_docs": "docs",
    "repository_url": _project["urls"]["Source"],
    "use_edit_page_button": True,
    "use_issues_button": True,
    "use_repository_button": True,
    "navbar_persistent": [],  # search is in the sidebar
    "show_toc_level": 2,
    "navigation_with_keys": False,
}
