"""Our own commands: where each is, and what the list of commands says about it."""

from typing import NamedTuple


class Own(NamedTuple):
    """One of our own commands, not imported yet."""

    #: Its module in this package.
    module: str
    #: What it does, in a short sentence, for the list of commands.
    help: str
    #: The name of the command in its module.
    name: str = 'main'


#: Our own commands, each with the line that the help has about it.
COMMANDS = {
    'agi': Own('agi', 'Take one call, started by Asterisk.'),
    'backup': Own('backup', 'Back up the database.'),
    'call': Own('call', 'Call a server as Asterisk would.'),
    'copy': Own('copy', 'Copy the database to another kind of storage.'),
    'export': Own('export', 'Write the calls to a file.'),
    'forget': Own('forget', 'Forget who called.'),
    'import': Own('export', 'Import calls from a file.', 'import_main'),
    'line': Own('line', 'Declare a line, show it or remove it.'),
    'lines': Own('lines', 'List the lines with their counts.'),
    'migrate': Own('migrate', 'Make an older database fit this version.'),
    'move': Own('move', 'Move a component to another database.'),
    'pack': Own('pack', 'Make the database smaller.'),
    'plugins': Own('installed', 'List the scripts, components and commands that are installed.'),
    'report': Own('report', 'Report the calls of a line, its rounds and who won them.'),
    'restore': Own('backup', 'Restore the database.', 'restore_main'),
    'round': Own('round', 'Open, close and show the rounds of a line.'),
    'serve': Own('serve', 'Serve calls.'),
    'shell': Own('shell', 'Open a Python shell on the live database.'),
    'status': Own('status', 'Show the database and who uses it.'),
    'verify': Own('verify', 'Look for damage.'),
}
