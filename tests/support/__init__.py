"""Stand-ins, fixtures and helpers that several folders of tests share."""
