"""How owkd is started: the command line, the demo, local Ray and clusters. Nothing imports this package."""
