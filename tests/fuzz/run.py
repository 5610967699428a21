"""The fuzzer: makes up inputs for the targets from what they have the code run, for a bounded time.

Atheris brings the fuzzer. Where it does not run, nothing is fuzzed, and that is said.
"""

from __future__ import annotations

import ast
import logging
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

TREE = Path(__file__).parents[2]
INSTALLED = TREE / '.build/fuzz' / str(sys.implementation.cache_tag)
sys.path[:0] = [str(TREE), str(INSTALLED)]

ATHERIS = 'atheris==3.0.0'
PYTHONS = (3, 11), (3, 13)
"""The first and the last that it has a wheel for."""


@click.command()
@click.option('--seconds', envvar='HITCOUNTER_FUZZ_SECONDS', default=60, show_default=True, help='For all targets.')
@click.argument('target', required=False)
@click.argument('input', required=False)
def main(seconds: int, target: str | None, input: str | None) -> None:
    """Fuzz all targets, or TARGET, or run that once with INPUT, the literal of some bytes."""
    from tests.fuzz.targets import TARGETS

    logging.disable()
    if target and target not in TARGETS:
        raise click.ClickException(f'there is no target {target!r}: name one of {", ".join(TARGETS)}')
    if target and input:
        TARGETS[target](ast.literal_eval(input))
        return
    first, last = PYTHONS
    if not first <= sys.version_info[:2] <= last:
        click.echo('Nothing was fuzzed: {} has no wheel for Python {}.{}.'.format(ATHERIS, *sys.version_info))
        return
    install()
    targets = [target] if target else list(TARGETS)
    went_well = [fuzz(name, max(1, seconds // len(targets))) for name in targets]
    sys.exit(0 if all(went_well) else 1)


def install() -> None:
    if not (INSTALLED / f'{ATHERIS.replace("==", "-")}.dist-info').is_dir():
        pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:']
        subprocess.run([*pip, '--upgrade', '--target', INSTALLED, ATHERIS], check=True)


def fuzz(target: str, seconds: int) -> bool:
    """Fuzz a target in a process of its own, which is how the fuzzer ends; tells whether all went well."""
    from tests.fuzz.targets import seeds
    from tests.support.patience import PATIENCE

    with tempfile.TemporaryDirectory() as folder:
        corpus, found = Path(folder, 'corpus'), Path(folder, 'found')
        corpus.mkdir()
        found.mkdir()
        write(seeds()[target], corpus)
        options = [f'-max_total_time={seconds}', f'-timeout={PATIENCE:.0f}', f'-artifact_prefix={found}/']
        code = 'import sys; from tests.fuzz.run import run_target; run_target(*sys.argv[1:])'
        ended = subprocess.run(
            [sys.executable, '-c', code, target, str(corpus), *options],
            cwd=TREE,
            env={**os.environ, 'PYTHONPATH': ''},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds + PATIENCE,
            check=False,
        )
        said = ended.stdout.decode('utf-8', 'backslashreplace')
        runs = re.search(r'^Done (\d+) runs', said, re.MULTILINE)
        inputs = [path.read_bytes() for path in sorted(found.iterdir()) if not path.name.startswith('slow-')]
    if ended.returncode == 0 and runs and not inputs:
        click.echo(f'{target}: {runs[1]} runs, nothing found')
        return True
    click.echo(said[-5000:])
    click.echo(f'{target}: FAILED')
    for input in inputs:
        again = shlex.join(['.venv/bin/python', 'tests/fuzz/run.py', target, repr(input)])
        click.echo(f'the input: {input!r}\nto run it again: {again}')
    return False


def write(inputs: Iterable[bytes], folder: Path) -> None:
    for number, input in enumerate(sorted(inputs)):
        (folder / str(number)).write_bytes(input)


def run_target(target: str, *options: str) -> None:
    """Have libFuzzer take over this process."""
    import atheris

    with atheris.instrument_imports(include=['hitcounter.agi']):
        from tests.fuzz.targets import TARGETS

    logging.disable()
    atheris.Setup(['fuzz', *options], TARGETS[target])
    atheris.Fuzz()


if __name__ == '__main__':
    main()
