"""Messages into the engine's model: a room of its own between the two, used by several doors."""
