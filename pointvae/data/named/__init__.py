"""Named sets: from a name such as ``modelnet40`` to its shapes, with a download that cannot end in a wrong file."""
