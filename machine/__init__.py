"""Both sides need this of the machine: command lines, processes, ports, loopback HTTP."""
