"""The generator of the demo company. ``generate`` writes it; nothing else here is for others."""

from pipelines.demo.company import GeneratedCompany, generate

__all__ = ["GeneratedCompany", "generate"]
