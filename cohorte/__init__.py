"""The ground: workspace, warehouse, contracts, segments, KPI definitions, store."""

__version__ = "0.1.0"
