"""Subcommands of the command line, one module for each topic."""
