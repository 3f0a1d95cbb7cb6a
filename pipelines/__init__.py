"""Moving data in and out: connectors, check, load, dbt, gates, publish."""
