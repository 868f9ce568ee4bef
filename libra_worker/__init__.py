"""The gearman door of a node: messages in, load balancers out."""
