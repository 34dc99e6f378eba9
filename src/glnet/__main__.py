"""`python -m glnet`: the `glnet` command, by the interpreter that is named."""

from glnet.cli import main

main()
