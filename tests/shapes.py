"""How Penchant's signatures are checked while tests run: shapes by jaxtyping, all other types by beartype alone.

jaxtyping's import hook wraps every function twice over. Only one with a tensor's shape in its signature needs that; of
the others, one inside a function would be compiled anew at every call of it, and is left to mypy, as is one whose types
are imported for mypy alone (`if TYPE_CHECKING:`).
"""

from __future__ import annotations

import ast

import beartype
import jaxtyping
from jaxtyping import _import_hook

_SHAPES = frozenset(name for name, one in vars(jaxtyping).items() if isinstance(one, type(jaxtyping.Float)))
checked = beartype.beartype
"""Under a name of its own: the hook keeps the bytecode that it makes by this name."""


def _names(node: ast.AST | None) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} if node else set()


class _Transformer(_import_hook.JaxtypingTransformer):
    _shapes = _SHAPES
    _unknown: frozenset[str] = frozenset()

    def visit_Module(self, node: ast.Module) -> ast.Module:  # noqa: N802 (ast's name)
        for_mypy = [one for one in node.body if isinstance(one, ast.If) and "TYPE_CHECKING" in _names(one.test)]
        imports = [part for one in for_mypy for part in ast.walk(one) if isinstance(part, ast.ImportFrom)]
        self._unknown = frozenset(name.asname or name.name for one in imports for name in one.names)
        aliases = [one for one in node.body if isinstance(one, ast.Assign) and _names(one.value) & _SHAPES]
        self._shapes = _SHAPES.union(*(_names(target) for one in aliases for target in one.targets))
        return super().visit_Module(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:  # noqa: N802
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        annotations = [node.returns, *(one.annotation for one in arguments if one)]
        named = set().union(*map(_names, annotations))
        if self._shapes & named:
            return super().visit_FunctionDef(node)
        inside = any(isinstance(parent, ast.FunctionDef) for parent in self._parents)
        if not inside and not self._unknown & named:
            whole = self._typechecker.get_ast()  # jaxtyped(typechecker=...)
            node.decorator_list.append(ast.copy_location(whole.keywords[0].value, node))
        self._parents.append(node)
        self.generic_visit(node)
        self._parents.pop()
        return node


def install() -> None:
    """For modules that are imported from now on."""
    _import_hook.JaxtypingTransformer = _Transformer
