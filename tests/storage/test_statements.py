from __future__ import annotations

import ast
from pathlib import Path

import pytest

from medkd.storage.statements import statements

SOURCES = sorted((Path(__file__).parents[2] / "medkd").glob("s*/*.py"))
EVERYWHERE = """
import a
if x:
    import b
elif y:
    import c
else:
    import d
try:
    import e
except ImportError:
    import f
else:
    import g
finally:
    import h
for i in j:
    import i
else:
    import j
with k:
    import k
while l:
    import l
match m:
    case 1:
        import m
class N:
    import n
    async def o(self):
        import o
        return lambda: p if q else r
"""


def imports(found):
    return sorted(alias.name for node in found if isinstance(node, ast.Import) for alias in node.names)


def test_an_import_is_found_wherever_one_may_stand():
    assert imports(statements(ast.parse(EVERYWHERE))) == list("abcdefghijklmno")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_they_are_all_the_statements_that_a_walk_over_everything_finds(source):
    tree = ast.parse(source.read_text(encoding="utf-8"))
    assert {id(one) for one in statements(tree)} == {id(one) for one in ast.walk(tree) if isinstance(one, ast.stmt)}
