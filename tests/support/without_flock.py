"""Runs a command in which the system call flock fails, as it does on some network file systems.

without_flock.py ENOLCK COMMAND ...
"""

import ctypes
import errno
import os
import platform
import struct
import sys

_FLOCK = {'x86_64': 73, 'aarch64': 32}

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2

_LOAD_NUMBER, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06

_ALLOW, _ERROR = 0x7FFF0000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (('length', ctypes.c_ushort), ('filter', ctypes.c_char_p))


def main(error: str, *command: str) -> None:
    """Load the number of each system call: if it is flock's, give the error, or else allow it."""
    steps = [
        (_LOAD_NUMBER, 0, 0, 0),
        (_JUMP_IF_EQUAL, 0, 1, _FLOCK[platform.machine()]),
        (_RETURN, 0, 0, _ERROR | getattr(errno, error)),
        (_RETURN, 0, 0, _ALLOW),
    ]
    program = _Program(len(steps), b''.join(struct.pack('HBBI', *step) for step in steps))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), 'no_new_privs')
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)):
        raise OSError(ctypes.get_errno(), 'seccomp')
    os.execvp(command[0], command)


if __name__ == '__main__':
    main(*sys.argv[1:])
