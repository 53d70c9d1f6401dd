"""Sandbox: the disposable, confined process that libav runs in."""
