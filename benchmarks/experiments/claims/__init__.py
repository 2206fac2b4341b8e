"""Sentences of README and docs that tell figures, made from the rows of results/; a module for a page.

Each module yields the sentences of its page, or those parts of them that the rows decide, as they must stand there.
`verify.py` holds the page to them.
"""
