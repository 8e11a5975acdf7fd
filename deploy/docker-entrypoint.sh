#!/bin/sh
# Flink's operator calls what it starts through this, some versions with this word in front.
[ "$1" = native-k8s ] && shift
exec "$@"
