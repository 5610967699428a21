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

_SECTION = re.compile(r'^## (.*)$', re.MULTILINE)
_ENTRY = re.compile(r'^- \[([^]]+)\]\(([^)#:]+\.md)\)', re.MULTILINE)
_FOLDER = re.compile(r'\]\(([^)#:]+)\)')


def _prepare(app: Sphinx, name: str, text: list[str]) -> None:
    """Add to a page what only a site needs."""
    folder = (TREE / name).parent
    if name == 'docs/reference/index':
        text[0] = re.sub(r'^- `([\w.-]+\.md)`', r'- [\1](\1)', text[0], flags=re.MULTILINE)
    text[0] = _FOLDER.sub(lambda link: f']({_page_of(folder, link[1])})', text[0])
    if name.endswith('index'):
        text[0] += _contents(text[0])


def _page_of(folder: Path, link: str) -> str:
    """A link that leads to a folder leads to what there is to read in it."""
    if not (folder / link).is_dir():
        return link
    first = sorted((folder / link).glob('*.md')) + sorted((folder / link).glob('*.py'))
    return f'{link}/{first[0].name}'


def _contents(index: str) -> str:
    """The navigation: the pages that an index lists, in its sections and under its names."""
    first, *sections = _SECTION.split(index)
    parts = [('', first), *zip(sections[::2], sections[1::2], strict=True)]
    return ''.join(_toctree(caption, _ENTRY.findall(part)) for caption, part in parts)


def _toctree(caption: str, entries: list[tuple[str, str]]) -> str:
    lines = '\n'.join(target if title == target else f'{title} <{target}>' for title, target in entries)
    option = f':caption: {caption}\n' if caption else ''
    return f'\n\n```{{toctree}}\n:hidden:\n{option}\n{lines}\n```\n' if entries else ''


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect('source-read', _prepare)
