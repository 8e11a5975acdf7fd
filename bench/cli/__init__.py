"""The command line turns arguments into calls, a module a command."""
