"""What can be asked for on the command line, in words; the work is done in the modules above this folder."""
