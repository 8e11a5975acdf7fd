"""An open loop in Locust: `python -m bench run --rate 100 --locust`, or `locust --rate 100`.

locust -f locustfiles/open_loop.py --host http://127.0.0.1:8080 --spec SPEC.json
"""

from bench.generator.locust_open_loop import Dispatcher

__all__ = ["Dispatcher"]
