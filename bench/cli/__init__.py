"""The command line makes calls of arguments, a module a command."""
