"""Sphinx's settings for the site, which docs/build makes of the pages of this tree.

The pages are plain Markdown, so that they read as well on a forge. What only a site needs is added here.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

TREE = Path(__file__).parent.parent

project = 'hitcounter'
copyright = 'the hitcounter contributors, MIT license'
extensions = ['myst_parser']
root_doc = 'docs/index'
include_patterns = ['*.md', 'docs/**.md', 'examples/**.md']
exclude_patterns = ['.*', '**/.*', 'build', 'tests', 'var']
myst_heading_anchors = 4  # as a forge has them
suppress_warnings = ['myst.header']  # the pages of the reference go from ## to ####
html_theme = 'furo'
html_title = 'hitcounter'
html_extra_path = ['site']  # index.html, which leads to docs/index.html

_LINK = re.compile(r'\]\(([^)#:]+\.md)[)#]')
_FOLDER = re.compile(r'\]\(([^)#:]+)\)')


def _prepare(app: Sphinx, name: str, text: list[str]) -> None:
    """Add to a page what only a site needs."""
    folder = (TREE / name).parent
    if name == 'docs/reference/index':
        text[0] = re.sub(r'^- `([\w.-]+\.md)`', r'- [\1](\1)', text[0], flags=re.MULTILINE)
    text[0] = _FOLDER.sub(lambda link: f']({_page_of(folder, link[1])})', text[0])
    if name.endswith('index'):
        text[0] += _contents(_LINK.findall(text[0]))


def _page_of(folder: Path, link: str) -> str:
    """A link that leads to a folder leads to what there is to read in it."""
    if not (folder / link).is_dir():
        return link
    first = sorted((folder / link).glob('*.md')) + sorted((folder / link).glob('*.py'))
    return f'{link}/{first[0].name}'


def _contents(links: list[str]) -> str:
    """The pages that an index links to, for the navigation."""
    names = '\n'.join(dict.fromkeys(links))
    return f'\n\n```{{toctree}}\n:hidden:\n\n{names}\n```\n'


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect('source-read', _prepare)
