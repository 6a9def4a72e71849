"""How `make messages` finds what volunteers read: marked texts, and the reasons that rules and findings give.

Rules are data and stand below the shell, so their reasons are not marked: whatever is called `because`, `says` or
`fix` is shown through `probe.language.said`. A reason that is put together is a template whose fields are called as
what is filled in.
"""

import ast
import io
import re
from collections.abc import Collection, Iterator, Mapping
from typing import IO, Any

from babel.messages.extract import extract_python

Found = tuple[Any, ...]
_FIELD, _LETTER = re.compile(r"\{\w+\}"), re.compile(r"[a-z]")
_REASONS = ("because", "says", "fix")
_COMMANDS = ("probe ", "pip ", "timedatectl ", "[[")  # what is typed is the same in every language


def extract(
    source: IO[bytes], keywords: Mapping[str, Any], tags: Collection[str], options: Any
) -> Iterator[Found]:
    """Babel's interface: (line, function, text, comments) of each text."""
    content = source.read()
    yield from extract_python(io.BytesIO(content), keywords, tags, options)
    if "/analysis/" in getattr(source, "name", ""):
        return  # what it says of other networks is English so far
    for node in ast.walk(ast.parse(content)):
        for value in _values(node):
            for line, text in _texts(value):
                if _LETTER.search(_FIELD.sub("", text)) and not text.startswith(_COMMANDS):
                    yield line, "_", text, []


def _values(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.keyword) and node.arg in _REASONS:
        yield node.value
    if isinstance(node, ast.Assign):
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        if names & set(_REASONS):
            yield node.value


def _texts(value: ast.expr) -> Iterator[tuple[int, str]]:
    """The texts that an expression can be."""
    match value:
        case ast.Constant(value=str(text)):
            yield value.lineno, text
        case ast.IfExp(body=one, orelse=other):
            yield from _texts(one)
            yield from _texts(other)
        case ast.JoinedStr(values=parts):
            yield value.lineno, "".join(map(_part, parts))


def _part(part: ast.expr) -> str:
    match part:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Name(id=name) | ast.Attribute(attr=name)):
            return f"{{{name}}}"
    raise ValueError(f"line {part.lineno}: give what is filled in a name, for the translators")
