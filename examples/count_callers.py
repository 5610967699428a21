"""Counts the calls of each caller in the database, in batches, while calls come in.

    hitcounter-shell --write examples/count_callers.py 1000

Each batch is one transaction, which also stores how far it got. So you can stop the script at any time, and restart it.
"""
# mypy: disable-error-code=name-defined
# ruff: noqa: F821, T201 -- the shell brings root, hits and commit; a script prints its progress

import sys

from BTrees.OOBTree import OOBTree

from hitcounter.errors import UpdateFailed

batch = int(sys.argv[1]) if len(sys.argv) > 1 else 1000

if 'callers' not in root:
    root['callers'] = OOBTree()  # caller ID: number of calls
    root['callers counted'] = OOBTree()  # line: number of the last call that is included
    commit('callers: none yet')

callers, counted = root['callers'], root['callers counted']
for line in hits.lines():
    while (last := counted.get(line, 0)) < hits.count(line):
        first, last = last + 1, min(last + batch, hits.count(line))
        for number in range(first, last + 1):
            caller = hits.call(line, number).caller
            name = caller.caller_id or ('withheld' if caller.withheld else 'unknown')
            callers[name] = callers.get(name, 0) + 1
        counted[line] = last
        try:
            commit(f'callers: {line} until call {last}')
        except UpdateFailed:  # another process changed the same objects: continue from its result
            continue
        print(f'{line}: {last} of {hits.count(line)} calls', flush=True)
