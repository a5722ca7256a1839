"""``python -m brainxr``: the command line."""

from brainxr.cli import main

main(prog_name="brainxr")
