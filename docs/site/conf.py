"""The site that `make docs` builds from README.md, docs/ and the docstrings. Every warning is an error there.

Pages are ordinary Markdown, so the same files and links work on the site and in a file browser. The sidebar follows the
reading order of docs/index.md: its links are the table of contents.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

import mobilenet  # noqa: F401  (the reference is made from the installed package)

ROOT = Path(__file__).resolve().parents[2]

project = "mobilenet"
copyright = "the mobilenet authors, Apache-2.0"
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".*", "build", "src", "tests", "native", "results", "tools", "examples", "dist", "out"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3  # links to headings work as they do on GitHub
default_role = "code"  # `name` in docstrings
highlight_language = "none"  # of a block that names no language

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = "mobilenet"
html_extra_path = ["index.html"]
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False


def toctree(text: str) -> str:
    """The table of contents of the site: a caption for every heading of docs/index.md, an entry for every link below it."""
    directives = []
    for caption, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE):
        pages = re.findall(r"\]\(([\w./-]+)\.md\)", section)
        entries = "\n".join(f"/{(Path('docs') / page).as_posix()}".replace("/docs/../", "/") for page in dict.fromkeys(pages))
        directives.append(f"```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{entries}\n```\n")
    return "\n".join(directives)


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    if page == root_doc:
        source[0] += "\n" + toctree(source[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
