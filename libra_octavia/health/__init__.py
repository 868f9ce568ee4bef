"""The way up: heartbeats of devices received, counted and told to Octavia.

`envelope`, `message`, `order`, `counting`, `statuses` and `due` are pure. The `receiver` puts
heartbeats into the `inbox`, the `intake` stores them in the inventory, and the `reporter` tells
Octavia; each has a thread of its own, so that none waits for another.
"""
