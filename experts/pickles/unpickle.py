"""Read a pickle without calling anything that it names.

Pickle is a small language whose programs may call any function of any module. This reader knows that
language and none of its powers: a name in the file stands for what the caller's list says by that exact
name, or the reading ends. On the list are plain values, functions of our own (`Function`) and classes
(`Kind`). No class is ever imported or called: its objects become a `Record`, a name and a state that
nobody acts upon.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

KEYS = (str, int, float, bool, type(None))


class Refused(Exception):
    """A pickle that is not read. The message goes on after the file's name: "names os.system, which …"."""


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """The only thing that a pickle can call here: a function of ours that stands for a name."""

    call: Callable[..., Any]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A class that a pickle may name."""

    name: str  # of the module and the class


@dataclass(slots=True, eq=False)
class Record:
    """What is left of an object: which class it was of, and its state as the pickle gives it."""

    kind: str
    state: Any = None


def unpickle(file: BinaryIO, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None = None) -> Any:
    """The value of one pickle; the file then stands behind it. Raises Refused.

    names: what each name of a module and something in it stands for; persistent: what stands for an
    object that lies outside of the pickle, from its id there.
    """
    machine = _Machine(names, persistent)
    try:
        for operation, argument, _ in pickletools.genops(file):
            if operation.name == "STOP":
                return machine.stack.pop()
            machine.do(operation.name, argument)
    except Refused:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, EOFError) as error:
        raise Refused(f"is damaged or no pickle of weights ({type(error).__name__})") from error
    raise Refused("ends early")


def shown(text: object) -> str:
    """A text of the file's, fit for a message."""
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in str(text)[:120])


class _Machine:
    """A stack, the stacks below the marks, and what the pickle wants to find again by number."""

    def __init__(self, names: Mapping[str, Any], persistent: Callable[[Any], Any] | None) -> None:
        self.names, self.persistent = names, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        if name in VALUES:
            self.stack.append(argument)
        elif name in MAKERS:
            self.stack.append(MAKERS[name]())
        elif name in STEPS:
            STEPS[name](self, argument)
        else:  # INST, OBJ, NEWOBJ_EX, EXT, buffers, and whatever a later Python adds
            raise Refused(f"uses pickle's {name}, which weights have no need of")

    def above(self) -> list[Any]:
        """What was put onto the stack since the last mark."""
        found, self.stack = self.stack, self.below.pop()
        return found

    def mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.above()

    def pop_mark(self, _: Any) -> None:
        self.above()

    def again(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    # Containers: exactly Python's own, so that putting something in runs nothing else

    def list_(self, _: Any) -> None:
        made = self.above()
        self.stack.append(made)

    def tuple_(self, _: Any) -> None:
        made = tuple(self.above())
        self.stack.append(made)

    def tuple_of(self, count: int) -> None:
        made = tuple(self.stack[-count:])
        if len(made) != count:
            raise IndexError
        self.stack[-count:] = [made]

    def dict_(self, _: Any) -> None:
        pairs = self.above()
        self.stack.append({})
        self._set(pairs)

    def frozenset_(self, _: Any) -> None:
        self.stack.append(frozenset(plain_keys(self.above())))

    def append(self, _: Any) -> None:
        value = self.stack.pop()
        self._top(list).append(value)

    def appends(self, _: Any) -> None:
        values = self.above()
        self._top(list).extend(values)

    def add(self, _: Any) -> None:
        values = plain_keys(self.above())
        self._top(set).update(values)

    def set_one(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def set_many(self, _: Any) -> None:
        self._set(self.above())

    def _set(self, pairs: list[Any]) -> None:
        keys = plain_keys(pairs[::2])
        self._top(dict).update(zip(keys, pairs[1::2], strict=True))

    def _top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise TypeError
        return self.stack[-1]

    # What was there before

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self.memo[number])

    # Names and what they make

    def name(self, both: str) -> None:
        module, _, name = both.partition(" ")  # as pickletools joins the two
        self._look_up(module, name)

    def name_on_stack(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self._look_up(module, name)

    def _look_up(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}" if type(module) is type(name) is str else ""
        if full not in self.names:
            raise Refused(f"names {shown(full)}, which is neither a tensor nor a layer that is known here")
        self.stack.append(self.names[full])

    def call(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is Kind:
            raise Refused(f"wants to call {function.name}; an honest file only stores its state")
        if type(function) is not Function or type(arguments) is not tuple:
            raise Refused("wants to call something that is no function")
        self.stack.append(function.call(*arguments))

    def new(self, _: Any) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if type(kind) is not Kind or type(arguments) is not tuple:
            raise Refused("wants an object of something that is no class")
        if arguments:
            raise Refused(f"hands arguments to {kind.name}; an honest file only stores its state")
        self.stack.append(Record(kind.name))

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) is Record:
            self.stack[-1].state = state
        elif type(self.stack[-1]) is not dict:  # a dict's own state is what torch notes about versions
            raise Refused("wants to change something that is no layer")

    def outside(self, _: Any) -> None:
        if self.persistent is None:
            raise Refused("refers to something outside of itself")
        self.stack.append(self.persistent(self.stack.pop()))


def plain_keys(keys: list[Any]) -> list[Any]:
    """Keys that cost nothing to compare: no tuples of tuples of tuples."""
    if not all(type(key) in KEYS for key in keys):
        raise TypeError
    return keys


VALUES = frozenset(
    """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE
    BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8""".split()
)
MAKERS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, argument: None,
    "FRAME": lambda machine, argument: None,
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.again,
    "LIST": _Machine.list_,
    "TUPLE": _Machine.tuple_,
    "TUPLE1": lambda machine, argument: machine.tuple_of(1),
    "TUPLE2": lambda machine, argument: machine.tuple_of(2),
    "TUPLE3": lambda machine, argument: machine.tuple_of(3),
    "DICT": _Machine.dict_,
    "FROZENSET": _Machine.frozenset_,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.add,
    "SETITEM": _Machine.set_one,
    "SETITEMS": _Machine.set_many,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_on_stack,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.new,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.outside,
}
