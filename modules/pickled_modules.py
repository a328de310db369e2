"""Old PyTorch files that hold a module, such as a `ParameterDict`, put into words that its restricted reader knows.

Until 2020 `torch.save` wrote a module's class as ("module", class, source file, source code), so that a reader could
warn of changed code. The restricted reader knows storages only at such places, and refuses the file whatever the class
is. Here the mark becomes a call that gives the class alone. The file is walked, never run; which classes may stand
there is decided by the restricted reader, as everywhere else.
"""

import io
import pickletools
import re

CLASS_OF_MODULE = "modules.pickled_modules.class_of_module"  # the name under which the reader has to know the call
LARGEST_FILE = 64 << 20  # bytes; what holds such modules is an embedding, of a few hundred kilobytes

_LOOKED_AT = 1 << 20  # bytes; the pickle of an embedding and the source code in it take thirty thousand
_MARKS = re.compile(rb"(?:U\x06|X\x06\0\0\0)module")
_PICKLES = 4  # a magic number, the protocol, sizes of the machine, and then the object itself
_END_OF_MARKED = {"TUPLE", "LIST", "DICT", "APPENDS", "SETITEMS", "POP_MARK", "INST", "OBJ", "ADDITEMS", "FROZENSET"}
_NOTED = {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"}


def class_of_module(_: object, found: object, *_code: object) -> object:
    """The class in what `torch.save` wrote of a module; its source code is of no use here."""
    return found


def with_plain_classes(content: bytes) -> bytes | None:
    """The file with the marks of modules made into calls.

    Args:
        content: of a file of the form before zip archives.

    Returns:
        None if it has no such marks, or is damaged: as it is, it can be read or is refused.
    """
    if not _MARKS.search(content, 0, _LOOKED_AT):
        return None
    file = io.BytesIO(content[:_LOOKED_AT])
    changes: list[tuple[int, int]] = []
    try:
        for _ in range(_PICKLES):
            changes += _modules_in(file)
    except ValueError:  # the reader says what is wrong with it
        return None
    module, _, name = CLASS_OF_MODULE.rpartition(".")
    call, parts, done = f"c{module}\n{name}\n".encode(), [], 0
    for start, end in changes:
        parts += [content[done:start], call, content[start:end], b"R"]
        done = end + 1
    return b"".join([*parts, content[done:]]) if changes else None


def _modules_in(file: io.BytesIO) -> list[tuple[int, int]]:
    """Where the marks of one pickle begin and where the operation stands that reads them; leaves the file behind it."""
    found = []
    waiting: list[tuple[int, bool]] = []  # where each list that is not complete begins, and whether it is a module's
    last: tuple[int, bool] | None = None  # the one that was completed just now
    begins = False  # whether one began with the opcode before
    for opcode, value, position in pickletools.genops(file):
        assert position is not None
        if begins and value == "module":
            waiting[-1] = (waiting[-1][0], True)
        begins = opcode.name == "MARK"
        if begins:
            waiting.append((position, False))
        elif opcode.name == "BINPERSID" and last and last[1]:
            found.append((last[0], position))
        if opcode.name in _END_OF_MARKED:
            last = waiting.pop() if waiting else None
        elif opcode.name not in _NOTED:
            last = None
    return found
