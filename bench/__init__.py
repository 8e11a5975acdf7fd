"""Loads the reference system, records what happened, and judges the record afterwards.

    load ─→ history (one line a request) ─→ check, ledger, stats ─→ run.json, summary.md

Nothing here is imported by the system; of the system only the wire format, the routes and the
runtime are used.
"""
