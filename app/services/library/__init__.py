"""Library: collections, videos, segments, and clip export."""
