"""The histograms of /metrics, as Prometheus reads them."""

from system.gateway.metrics import Metrics


def test_a_histogram_counts_what_took_no_longer_than_each_bound() -> None:
    metrics = Metrics("g", lambda: 0)
    for latency_s in (0.001, 0.0011, 20.0):
        metrics.produce.observe(latency_s)
    lines = {*metrics.text().decode().splitlines()}
    name = "kaflinkshop_gateway_produce_seconds"
    for bound, count in (("0.001", 1), ("0.002", 2), ("10.0", 2), ("+Inf", 3)):
        assert f'{name}_bucket{{gateway_id="g",le="{bound}"}} {count}.0' in lines
    assert f'{name}_count{{gateway_id="g"}} 3.0' in lines
    assert f'{name}_sum{{gateway_id="g"}} 20.0021' in lines
    assert 'kaflinkshop_gateway_latency_seconds_count{gateway_id="g"} 0.0' in lines
