"""What Prefect shows of a run, from inside its flow or as it is told, and how a run ends there."""
