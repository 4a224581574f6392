"""Sphinx: ``make docs`` builds these pages; a warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import plainbert  # noqa: E402

project = "plainbert"
author = "the plainbert authors"
copyright = "the plainbert authors, Apache-2.0"  # noqa: A001
version = release = plainbert.__version__

extensions = [
    "extensions.flags",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["notebooks/README.md"]
templates_path: list[str] = []

html_theme = "furo"
html_title = f"plainbert {release}"
html_static_path = ["static"]
html_css_files = ["wide.css"]
html_copy_source = False
html_show_sphinx = False

# Notebooks are shown with the outputs they were saved with; the tests run them.
nb_execution_mode = "off"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_use_rtype = False
napoleon_use_ivar = True
highlight_language = "python"
