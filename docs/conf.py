"""Configuration of Sphinx. What the pages say of answers, fields and versions is made from the code."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import code_facts

project = "flask_aegis_machines"
version = release = version_of("flask-aegis-machines")
project_copyright = "the authors of flask_aegis_machines"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "from_code"]
exclude_patterns = ["_*"]

myst_enable_extensions = ["attrs_block", "deflist", "substitution"]
myst_heading_anchors = 3
myst_substitutions = code_facts.SUBSTITUTIONS

autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True

copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True
copybutton_line_continuation_character = "\\"
copybutton_here_doc_delimiter = "EOF"

html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_title = f"flask_aegis_machines {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
