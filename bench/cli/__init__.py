"""The command line: arguments to calls, a module a command."""
