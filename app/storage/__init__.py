"""Storage: objects, media, partial uploads, deletion and the backup lock of the data folder."""
