"""Operations: metrics, readiness and periodic tasks."""
