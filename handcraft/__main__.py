"""`python -m handcraft`: the command line."""

from handcraft.cli.main import main

if __name__ == "__main__":
    main()
