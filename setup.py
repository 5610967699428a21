"""What setup.cfg cannot say: the links of README.md, which must also work on the page of a package index."""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent


def description(readme: str, repository: str, version: str) -> str:
    """README.md with links into the repository at this version; without a repository, such a link is its text alone."""
    target = rf'[\1]({repository}/blob/v{version}/\2)' if repository else r'\1'
    return re.sub(r'\[([^\]]+)\]\((?!https?://|#)([^)\s]+)\)', target, readme)


def project_urls(repository: str, version: str) -> dict[str, str]:
    """The links that a package index shows beside the description; none without a repository."""
    if not repository:
        return {}
    return {
        'Documentation': f'{repository}/tree/v{version}/docs',
        'Changes': f'{repository}/blob/v{version}/CHANGES.md',
        'Source': repository,
        'Issues': f'{repository}/issues',
    }


def main() -> None:
    metadata = ConfigParser()
    metadata.read(HERE / 'setup.cfg', 'utf-8')
    repository = metadata['hitcounter']['repository'].rstrip('/')
    version = metadata['metadata']['version']
    setup(
        long_description=description((HERE / 'README.md').read_text('utf-8'), repository, version),
        long_description_content_type='text/markdown',
        project_urls=project_urls(repository, version),
    )


if __name__ == '__main__':
    main()
