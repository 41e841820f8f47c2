"""What the Python blocks of a page take for granted: a module a page, a function a heading.

The blocks of a page run in order, as one program. Before the first block under a heading, what the
function of that heading returns is added to the program's names; what `everywhere` returns is there
from the start. The pages of a folder, such as docs/estimators, share a module.
"""
