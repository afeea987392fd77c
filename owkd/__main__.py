"""`python -m owkd` is the `owkd` command, which is found as any program of this environment is: owkd knows none."""

import sys
from importlib.metadata import entry_points

from owkd.hidden import hidden_in_words, what_hides

if __name__ == "__main__":
    found = what_hides(sys.path)
    if found is not None:
        print(f"error: {hidden_in_words(found)}", file=sys.stderr)
        sys.exit(2)
    (command,) = entry_points(group="console_scripts", name="owkd")
    command.load()()
