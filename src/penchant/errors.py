"""The one exception family. A message names what was wrong, what was expected and what to do."""


class PenchantError(Exception):
    """Base of everything Penchant raises on purpose. The command line prints it as one line and exits 1."""


class InputError(PenchantError, ValueError):
    """The caller's input is unusable (bad file, bad option, bad value). The command line exits 2."""


class UnknownUserError(InputError):
    """No such user in the store."""


class ModelError(InputError):
    """A model can't be found, read, or used for what was asked."""


class StoreError(PenchantError):
    """The store can't be read or written (locked, corrupt, full disk). Nothing acknowledged is lost."""


class EndpointError(PenchantError):
    """A remote endpoint refused, timed out, or answered with something unusable."""


class ExtensionError(PenchantError):
    """An installed package's extension (marker, command, ...) can't be used; the message names the package."""
