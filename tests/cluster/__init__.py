"""Hosts as network namespaces of one machine, and searches over them."""
