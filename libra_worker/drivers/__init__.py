"""What a controller can drive: the interface, and HAProxy behind it."""
