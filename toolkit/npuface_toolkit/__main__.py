"""`python -m npuface_toolkit`: the `npuface` command, for launchers that start a module."""

from npuface_toolkit.cli import main

if __name__ == "__main__":
    main()
