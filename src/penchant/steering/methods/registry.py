"""Methods that steer by vectors, by name. Adding one is one line."""

from penchant.errors import InputError
from penchant.steering.methods.caa import CAA
from penchant.steering.methods.fints import FINTS, FINTS_PROMPT
from penchant.steering.methods.likelihood_gradient import LIKELIHOOD_GRADIENT
from penchant.steering.methods.method import VectorMethod
from penchant.steering.methods.user_mean import USER_MEAN

VECTOR_METHODS: dict[str, VectorMethod] = {
    method.name: method for method in (LIKELIHOOD_GRADIENT, FINTS, FINTS_PROMPT, CAA, USER_MEAN)
}
DEFAULT_METHOD = LIKELIHOOD_GRADIENT.name


def vector_method(name: str) -> VectorMethod:
    """The method of that name. Raises `InputError`."""
    if name not in VECTOR_METHODS:
        raise InputError(f"no steering method {name!r}: expected one of {', '.join(VECTOR_METHODS)}")
    return VECTOR_METHODS[name]
