"""`python -m owkd` is the `owkd` command, which is found as any program of this environment is: owkd knows none."""

from importlib.metadata import entry_points

if __name__ == "__main__":
    (command,) = entry_points(group="console_scripts", name="owkd")
    command.load()()
