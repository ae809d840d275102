"""`python -m adapters.cli`: the command line where the `nextbeat` script is not on the path."""

from adapters.cli.commands import main

if __name__ == "__main__":
    main()
