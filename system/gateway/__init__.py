"""The HTTP gateway makes a request a Kafka record, and the reply record its response.

    HTTP → connection → app → pending, kafka ─{service}_in→ services
    HTTP ← connection ← app ← pending ← kafka ←gateway_out_<id>─ services

`router` and `request_id` are pure, `pending` and `memory` are plain data structures, `kafka`,
`fate` and `protocol` alone know aiokafka, `connection` alone knows how aiohttp parses, `worker` is
a process, and `supervisor` is several of them.
"""
