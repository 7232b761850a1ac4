"""One of several processes that keep their metrics in one directory."""

import signal

import prometheus_client

prometheus_client.Counter("jobs", "Jobs.").inc()
prometheus_client.Gauge("busy", "Busy processes.", multiprocess_mode="livesum").set(1)
signal.pause()
