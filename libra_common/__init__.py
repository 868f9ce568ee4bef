"""What every Libra daemon shares: settings, logs, life cycle, gearman, error roots."""
