"""This package tells where the time of a request goes: CPU by thread, and flame graphs.

    python -m system up --name now
    python -m bench costs now --flames FOLDER
    python -m bench costs before now            # two stacks of two work trees, in turns

It measures stacks that are up, so that each may come from a work tree of its own.
"""
