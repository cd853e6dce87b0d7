"""The model declared as Pulumi resources: one component for the database, one for each service."""

from .database import Database, DatabaseArgs
from .service import ServiceSchema, ServiceSchemaArgs

__all__ = ["Database", "DatabaseArgs", "ServiceSchema", "ServiceSchemaArgs"]
