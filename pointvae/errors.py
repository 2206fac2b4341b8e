"""The one exception that means "the input is at fault"."""


class InputError(ValueError):
    """Bad input, told in one line: what, where, why, and how to mend it.

    Library code raises it with a message a user can act on; the command line prints that message without a
    traceback and exits with code 2. It is a ``ValueError``, so callers in Python may catch either.
    """
