"""SQL of the catalog: one module a table, the schema, filter clauses and invariants."""
