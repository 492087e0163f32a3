"""How Penchant's signatures are checked while tests run: shapes by jaxtyping, all other types by beartype alone.

jaxtyping's import hook wraps every function twice over. Only one with a tensor's shape in its signature needs that; of
the others, one inside a function would be compiled anew at every call of it, and is left to mypy.
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

    def visit_Module(self, node: ast.Module) -> ast.Module:  # noqa: N802 (ast's name)
        aliases = [one for one in node.body if isinstance(one, ast.Assign) and _names(one.value) & _SHAPES]
        self._shapes = _SHAPES.union(*(_names(target) for one in aliases for target in one.targets))
        return super().visit_Module(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:  # noqa: N802
        given = node.args
        arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
        annotations = [node.returns, *(one.annotation for one in arguments if one)]
        if self._shapes & set().union(*map(_names, annotations)):
            return super().visit_FunctionDef(node)
        if not any(isinstance(parent, ast.FunctionDef) for parent in self._parents):
            whole = self._typechecker.get_ast()  # jaxtyped(typechecker=...)
            node.decorator_list.append(ast.copy_location(whole.keywords[0].value, node))
        self._parents.append(node)
        self.generic_visit(node)
        self._parents.pop()
        return node


def install() -> None:
    """For modules that are imported from now on."""
    _import_hook.JaxtypingTransformer = _Transformer
