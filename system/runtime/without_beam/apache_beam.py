"""This module stands before Apache Beam on the path of a TaskManager in thread mode.

PyFlink imports Beam, and with it pandas, to see how fast process mode's coders could be. Thread
mode has none, and the import is most of what a TaskManager's Python loads: measured, 4.5 s with it
and 1.4 s without. PyFlink takes a failed import for "no fast coders", and goes on.
"""

raise ImportError("thread mode does without Apache Beam")
