"""What both sides need of the machine: command lines, child processes, ports, loopback HTTP."""
