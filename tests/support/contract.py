"""What the contract's tests and a gateway that they are pointed at have agreed on."""

TOPIC_PREFIX = "contract."
"""Of all topics: where the real services run on the same broker, they don't see the tests."""
PARTITIONS = 4
"""Of each input topic, so that a gateway has to choose."""
NO_SERVICES = ("--ready-by", "kafka")
"""So that a gateway sends nothing by itself: the tests are the services."""

BROKER, GATEWAY = "KAFLINKSHOP_CONTRACT_BROKER", "KAFLINKSHOP_CONTRACT_GATEWAY"
"""These variables name a broker and a gateway that exist, each as ``HOST:PORT``. Tests that stop a
broker, or need a gateway with other options, start their own all the same."""
GATEWAY_ID = "contract"
GIVEN = ("--gateway-id", GATEWAY_ID, "--topic-prefix", TOPIC_PREFIX, *NO_SERVICES)
"""Options of the gateway that exists."""
