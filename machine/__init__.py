"""What both sides need of the machine: child processes, ports, file locks, loopback HTTP."""
